"""Do packets of the planned MTU reach the members whole? A switch with a smaller one drops them without a word."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from firstboot.context import Member
from firstboot.doctor.bounded import Value, gather
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned
from firstboot.errors import TrivetError
from firstboot.plan import NetworkPlan
from firstboot.run import run

WORKERS = 32
LIMIT_S = 45.0
"""For all members together."""
TRIES = 2
ANSWER_S = 3
PING_LIMIT_S = 20
SMALL_BYTES = 576
"""What every IPv4 host takes whole (RFC 791)."""
HEADERS_BYTES = {4: 28, 6: 48}
"""IP and ICMP headers, which ping's -s does not count."""


@dataclass(frozen=True)
class Echoes:
    """Whether answers came to whole packets of the planned MTU, and to small ones."""

    whole: bool
    small: bool


@dataclass(frozen=True)
class Path:
    """The way to a member in one network; `key` is what the profile calls its MTU."""

    name: str
    address: str
    mtu: int
    key: str

    @property
    def about(self) -> str:
        return f"{self.name} ({self.address})"


def check(node: Node) -> Iterator[Judgement]:
    """Ping each member whose address is known, in the storage network too."""
    others = [member for slot, member in sorted(node.members.items()) if slot != node.slot.number]
    found = paths(node.claimed_seed.plan.network, others)
    if not found:
        yield skipped("no other member is known yet")
    results = gather([partial(ping, path.address, path.mtu) for path in found], limit_s=LIMIT_S, workers=WORKERS)
    for path, result in zip(found, results, strict=True):
        if isinstance(result, Value):
            yield judge(path, result.value)
        else:
            error = getattr(result, "error", None)
            why = error.message if isinstance(error, TrivetError) else f"not measured within {LIMIT_S:g} s"
            yield warned(why, f"try it: {shlex.join(argv(path.address, path.mtu))}", about=path.about)


def paths(network: NetworkPlan, others: Sequence[Member]) -> list[Path]:
    """The ways to these members. Pure."""
    found = [Path(member.name, member.address, network.mtu, "network.mtu") for member in others]
    if network.storage is not None:
        mtu, key = network.storage.mtu, "network.storage.mtu"
        found += [Path(m.name, m.storage_address, mtu, key) for m in others if m.storage_address is not None]
    return found


def judge(path: Path, echoes: Echoes) -> Judgement:
    """Only packets that are lost for their size are a failure: pings may be filtered."""
    if echoes.whole:
        return passed(f"packets of {path.mtu} bytes arrive whole", about=path.about)
    if echoes.small:
        return failed(
            f"packets of {SMALL_BYTES} bytes arrive, of {path.mtu} bytes do not",
            f"let every switch and bridge on the way pass {path.mtu} bytes, or lower {path.key} in the profile",
            about=path.about,
        )
    return warned(
        "no answer to pings of any size",
        "if that member answers over mutual TLS (see members), something filters ICMP",
        about=path.about,
    )


def ping(address: str, mtu: int) -> Echoes:
    """Ask with packets that must not be cut up; small ones only if whole ones don't come back."""
    whole = answers(address, mtu)
    return Echoes(whole, whole or answers(address, min(SMALL_BYTES, mtu)))


def answers(address: str, size_bytes: int) -> bool:
    """Whether a packet of that size, IP header included, is answered."""
    return run(argv(address, size_bytes), timeout_s=PING_LIMIT_S, check=False).ok


def argv(address: str, size_bytes: int) -> list[str]:
    """iputils' ping with "don't fragment"; one answer of the tries is enough for its exit code 0. Pure."""
    payload = size_bytes - HEADERS_BYTES[6 if ":" in address else 4]
    options = ["-n", "-q", "-M", "do", "-c", str(TRIES), "-W", str(ANSWER_S), "-s", str(payload)]
    return ["ping", *options, address]
