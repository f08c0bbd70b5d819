"""Looks for a site's nodes by mDNS: addresses as hints, bounded in number and time, never trusted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address

from firstboot.cluster.announcement import Heard, usable
from firstboot.cluster.discovery import listen
from firstboot.errors import TrivetError

MAX_ADDRESSES = 8


@dataclass(frozen=True)
class Hint:
    """What somebody on the network says: at these addresses is a node of the site in this slot, and why it waits."""

    slot: int
    addresses: tuple[str, ...]
    phase: str
    why: str = ""


def browse(site_id: str, slots: frozenset[int], *, timeout_s: float) -> tuple[Hint, ...]:
    """Listen on every interface until every slot was heard of, or the time is over."""

    def enough(so_far: Collection[Heard]) -> bool:
        return slots <= {hint.slot for hint in hints(so_far)}

    try:
        return hints(listen(None, site_id=site_id, seconds=timeout_s, enough=enough))
    except TrivetError as error:
        raise TrivetError(
            f"nodes can't be looked for by mDNS: {error.message}", hint="name them: --node ADDRESS"
        ) from error


def hints(heard: Collection[Heard]) -> tuple[Hint, ...]:
    """One hint a node that says a usable address, the best addresses first."""
    found = []
    for one in heard:
        addresses = sorted((address for address in one.addresses if usable(address)), key=_rank)
        if addresses:
            said = one.announcement
            found.append(Hint(said.slot, tuple(addresses[:MAX_ADDRESSES]), said.phase, said.why))
    return tuple(found)


def _rank(address: str) -> int:
    """IPv4 first, but its link-local addresses last: unlike IPv6's they don't say on which interface."""
    if ":" in address:
        return 1
    return 2 if IPv4Address(address).is_link_local else 0
