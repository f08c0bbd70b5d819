"""Multicast: is the agent listening for mDNS, does a query come back to its sender, were the other nodes heard?"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstboot.cluster.discovery import listen
from firstboot.cluster.founder import short
from firstboot.doctor import dnsquery
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned
from firstboot.network.facts import Link, reachable_addresses, read_links
from firstboot.network.topology import MANAGEMENT
from firstboot.network.wanted import want
from firstboot.plan import SlotPlan

GROUP4, GROUP6 = "224.0.0.251", "ff02::fb"
"""mDNS's groups (RFC 6762)."""
PORT = 5353
ECHO_S = 2.0
LISTEN_S = 5.0
"""Nodes answer a browser's question within 0.12 s (RFC 6762, section 6); the browser asks again after one second and
after three."""
IGMP = Path("/proc/net/igmp")
IGMP6 = Path("/proc/net/igmp6")
IP_MULTICAST_ALL, IPV6_MULTICAST_ALL = 49, 29
"""linux/in.h and linux/in6.h; off: a socket gets only what comes to groups on interfaces where it joined them."""


@dataclass(frozen=True)
class Heard:
    """An announcement of this site."""

    node_id: str
    slot: int
    phase: str


def check(node: Node) -> Iterator[Judgement]:
    """Memberships are read first: the doctor's own sockets join the same groups."""
    groups = parse_igmp(IGMP.read_text()) | parse_igmp6(IGMP6.read_text() if IGMP6.exists() else "")
    links = read_links()
    asked = interfaces(node, links)
    yield judge_membership(asked, groups, expected=node.entered("admit"))
    for link in asked:
        yield judge_echo(link, echoes(link))
    if not asked:
        yield failed("no wired interface has carrier and an address", "plug a cable in; see link", about="echo")
    if node.seed is None:
        yield skipped("no seed", about="other nodes")
        return
    addresses = [text for link in asked for text in reachable_addresses((link,), _first_address(link))]
    if addresses:
        said = [one.announcement for one in listen(addresses, site_id=node.seed.site.id, seconds=LISTEN_S)]
        heard = [Heard(one.node_id, one.slot, one.phase) for one in said]
        yield judge_heard(node.slot, node.others, heard, announces=node.entered("admit"))


def interfaces(node: Node, links: Sequence[Link]) -> tuple[Link, ...]:
    """The management interface; every wired one with carrier and an address while there is no seed that names it."""
    if node.seed is None:
        return tuple(link for link in links if link.wired and link.carrier and link.addresses)
    wanted = want(node.seed.plan.network, node.slot, node.seed.overrides, links)
    if wanted.address_of(MANAGEMENT, links) is None:
        return ()
    return tuple(link for link in links if link.name == wanted.management.link)


def parse_igmp(text: str) -> frozenset[tuple[str, str]]:
    """Interface and group of each line of /proc/net/igmp: groups are in hexadecimal, the last byte first. Pure."""
    found: set[tuple[str, str]] = set()
    interface = ""
    for line in text.splitlines()[1:]:
        words = line.split()
        if line[:1].isdigit():
            interface = words[1].rstrip(":")
        elif words and len(words[0]) == 8:
            found.add((interface, socket.inet_ntoa(bytes.fromhex(words[0])[::-1])))
    return frozenset(found)


def parse_igmp6(text: str) -> frozenset[tuple[str, str]]:
    """Interface and group of each line of /proc/net/igmp6. Pure."""
    rows = [line.split() for line in text.splitlines()]
    return frozenset(
        (row[1], socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[2]))) for row in rows if len(row) > 2
    )


def judge_membership(links: Sequence[Link], groups: frozenset[tuple[str, str]], *, expected: bool) -> Judgement:
    """Whether somebody here listens to mDNS; from the phase discover on that is the agent."""
    about = "membership"
    lacking = [
        f"{group} on {link.name}" for link in links for group in _groups(link) if (link.name, group) not in groups
    ]
    joined = [f"{group} on {link.name}" for link in links for group in _groups(link) if (link.name, group) in groups]
    if not expected:
        return skipped("the agent announces nothing before it has done phase discover", about=about)
    if not joined and not lacking:
        return skipped("no interface to listen on", about=about)
    if lacking:
        return failed(
            f"nobody here listens to {', '.join(lacking)}",
            "does the agent run? journalctl -u trivet-firstboot",
            about=about,
        )
    return passed(f"joined: {', '.join(joined)}", about=about)


def echoes(link: Link) -> dict[str, str]:
    """By group of the interface's address families: empty when an own query came back, else why it did not."""
    asks = {GROUP4: _echo4, GROUP6: _echo6}
    return {group: asks[group](link) for group in _groups(link)}


def judge_echo(link: Link, came: dict[str, str]) -> Judgement:
    """Whether this machine's own queries come back to it: its packet filter and kernel let mDNS pass."""
    about = f"echo on {link.name}"
    lost = [f"{group}: {why}" for group, why in came.items() if why]
    if lost:
        return failed(
            "; ".join(lost),
            "does a packet filter here drop UDP 5353? nft list ruleset",
            about=about,
        )
    return passed(f"own queries came back from {' and '.join(came)}", about=about)


def judge_heard(own: SlotPlan, others: Sequence[SlotPlan], heard: Sequence[Heard], *, announces: bool) -> Judgement:
    """Who announced itself while we listened; whether members can be reached at all is told by mutual TLS."""
    about = "other nodes"
    by_slot = {slot.number: [h for h in heard if h.slot == slot.number] for slot in (own, *others)}
    doubled = {slot: found for slot, found in by_slot.items() if len(found) > 1}
    if doubled:
        texts = [f"slot {s}: nodes {', '.join(short(h.node_id) for h in found)}" for s, found in doubled.items()]
        return warned(
            f"more than one machine announces {'; '.join(texts)}",
            "two machines have that slot's seed: turn one off; the first keeps the slot",
            about=about,
        )
    if announces and not by_slot[own.number]:
        return failed(
            f"not even this node's own announcement was heard in {LISTEN_S:g} s",
            "does the agent run? journalctl -u trivet-firstboot",
            about=about,
        )
    silent = [slot.name for slot in others if not by_slot[slot.number]]
    told = [f"{slot.name} (phase {by_slot[slot.number][0].phase})" for slot in others if by_slot[slot.number]]
    evidence = f"heard in {LISTEN_S:g} s: {', '.join(told) or 'nobody'}"
    if silent:
        return warned(
            f"{evidence}; not heard: {', '.join(silent)}",
            "are they on, in the same network and VLAN? does the switch pass multicast (snooping without a querier "
            "does not)? Without multicast name an address in the seed: peers in --overrides",
            about=about,
        )
    return passed(evidence if others else "this site has one node", about=about)


def _groups(link: Link) -> tuple[str, ...]:
    linklocal = any(address.scope == "link" and ":" in address.local for address in link.addresses)
    return ((GROUP4,) if link.ipv4 else ()) + ((GROUP6,) if linklocal else ())


def _first_address(link: Link) -> str | None:
    return next((address.local for address in link.addresses if address.local), None)


def _echo4(link: Link) -> str:
    joined = struct.pack("@4s4si", socket.inet_aton(GROUP4), bytes(4), link.index)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gate:
        for option, value in (
            (socket.IP_ADD_MEMBERSHIP, joined),
            (socket.IP_MULTICAST_IF, joined),
            (socket.IP_MULTICAST_LOOP, 1),
            (IP_MULTICAST_ALL, 0),
        ):
            gate.setsockopt(socket.IPPROTO_IP, option, value)
        return _echo(gate, "", (GROUP4, PORT))


def _echo6(link: Link) -> str:
    joined = struct.pack("@16si", socket.inet_pton(socket.AF_INET6, GROUP6), link.index)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as gate:
        for option, value in (
            (socket.IPV6_V6ONLY, 1),
            (socket.IPV6_JOIN_GROUP, joined),
            (socket.IPV6_MULTICAST_IF, link.index),
            (socket.IPV6_MULTICAST_LOOP, 1),
            (IPV6_MULTICAST_ALL, 0),
        ):
            gate.setsockopt(socket.IPPROTO_IPV6, option, value)
        return _echo(gate, "::", (GROUP6, PORT, 0, link.index))


def _echo(gate: socket.socket, every: str, group: tuple[str, int] | tuple[str, int, int, int]) -> str:
    # A name that nobody has: nobody answers, and only this query has it.
    name = f"trivet-doctor-{secrets.token_hex(8)}"
    gate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    gate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        gate.bind((every, PORT))
        gate.sendto(dnsquery.query(0, f"{name}.local", dnsquery.A), group)
        until = time.monotonic() + ECHO_S
        while (left := until - time.monotonic()) > 0:
            gate.settimeout(left)
            if name.encode() in gate.recv(9000):
                return ""
    except TimeoutError:
        pass
    except OSError as error:
        return error.strerror or str(error)
    return f"an own query did not come back in {ECHO_S:g} s"
