"""Looks for a site's nodes by mDNS: addresses as hints, bounded in number and time, never trusted."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from zeroconf import IPVersion, ServiceBrowser, ServiceListener, Zeroconf

from firstboot.cluster.discovery import TYPE
from firstboot.cluster.hints import read_txt
from firstboot.errors import TrivetError
from firstboot.seed import Id

MAX_INSTANCES = 600
MAX_ADDRESSES = 8
QUERY_MS = 2000


@dataclass(frozen=True)
class Hint:
    """What somebody on the network says: at these addresses is a node of the site in this slot."""

    slot: int
    addresses: tuple[str, ...]


class _Listener(ServiceListener):
    def __init__(self, site_id: Id, wanted: frozenset[int]) -> None:
        self.site_id = site_id
        self.missing = set(wanted)
        self.hints: dict[str, Hint] = {}
        self.complete = threading.Event()

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        if len(self.hints) >= MAX_INSTANCES:
            return
        info = zc.get_service_info(type_, name, timeout=QUERY_MS)
        if info is None:
            return
        hint = read_hint(self.site_id, info.properties, info.parsed_scoped_addresses(IPVersion.All))
        if hint is None:
            return
        self.hints[name] = hint
        self.missing.discard(hint.slot)
        if not self.missing:
            self.complete.set()

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        pass  # a node that left the air may still answer


def read_hint(site_id: str, properties: Mapping[bytes, bytes | None], addresses: list[str]) -> Hint | None:
    """The hint in an announcement, or None when it is not of our site or says no address."""
    known = read_txt(properties, site_id=site_id)
    if known is None or not addresses:
        return None
    _, slot, _ = known
    return Hint(slot, tuple(sorted(addresses[:MAX_ADDRESSES], key=_rank)))


def _rank(address: str) -> int:
    """IPv4 first, but its link-local addresses last: unlike IPv6's they don't say on which interface."""
    if ":" in address:
        return 1
    return 2 if IPv4Address(address).is_link_local else 0


def browse(site_id: str, slots: frozenset[int], *, timeout_s: float) -> tuple[Hint, ...]:
    """Listen until every slot was heard of, or the time is over."""
    try:
        zeroconf = Zeroconf(ip_version=IPVersion.All)
    except (OSError, RuntimeError) as error:
        raise TrivetError(f"nodes can't be looked for by mDNS: {error}", hint="name them: --node ADDRESS") from error
    try:
        listener = _Listener(site_id, slots)
        ServiceBrowser(zeroconf, TYPE, listener)
        listener.complete.wait(timeout_s)
        return tuple(listener.hints.values())
    finally:
        zeroconf.close()
