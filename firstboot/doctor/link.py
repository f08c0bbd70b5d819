"""The networks: cards, carrier, addresses, MTU, bonds, route, and whether another machine has the same address."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from pydantic import BaseModel, ConfigDict, TypeAdapter

from firstboot.doctor import arp
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned
from firstboot.network import bond
from firstboot.network.condition import lack_of, uplink_lack
from firstboot.network.facts import Link, read_links
from firstboot.network.overview import networks, summary
from firstboot.network.topology import MANAGEMENT, Bonded, Use
from firstboot.network.wanted import Wanted, want
from firstboot.plan import NetworkPlan
from firstboot.run import run

ASK_LIMIT_S = 30


class Route(BaseModel):
    """A route of `ip -json route`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gateway: str | None = None
    dev: str = ""


_ROUTES: TypeAdapter[tuple[Route, ...]] = TypeAdapter(tuple[Route, ...])


def check(node: Node) -> Iterator[Judgement]:
    """All of it, against the plan and the seed's overrides; raises NoInterfaceError when no card matches."""
    plan, links = node.claimed_seed.plan.network, read_links()
    wanted = want(plan, node.slot, node.claimed_seed.overrides, links)
    yield passed(summary(wanted, links), about="cards")
    yield from (failed(error.message, error.hint, about=name) for name, error in wanted.topology.faults.items())
    for bonded in wanted.topology.bonds:
        yield judge_bond(bonded, links)
    for use in wanted.topology.uses:
        yield judge_network(wanted, use, links)
    yield judge_mtu(wanted, links)
    yield judge_route(plan, wanted.management.link, read_default_routes())
    own = frozenset(text for link in links for text in (link.mac, link.permanent_mac) if text)
    for use in wanted.topology.uses:
        address = wanted.address_of(use.name, links) if use.name in wanted.addressing else None
        if address is not None:
            mac = next(link.mac for link in links if link.name == use.link)
            ipv4 = IPv4Address(address)
            yield judge_claimants(ipv4, arp.claimants(use.link, mac, ipv4) - own)


def judge_network(wanted: Wanted, use: Use, links: tuple[Link, ...]) -> Judgement:
    """Carrier and address, in the words of the phase network."""
    about = "" if use.name == MANAGEMENT else use.name
    lack = lack_of(wanted, use, links)
    if lack is not None:
        return failed(lack.message, lack.hint or f"what networkd says: networkctl status {use.link}", about=about)
    (status,) = (status for status in networks(wanted, links) if status.name == use.name)
    if use.name not in wanted.addressing and (lack := uplink_lack(wanted, use, links)) is not None:
        return warned(lack.message, lack.hint, about=about)
    over = "" if use.link == use.parent else f" over {use.parent}" if use.parent else ", isolated"
    cards = f" ({', '.join(card.mac for card in status.cards)})" if status.cards else ""
    if status.address is None:
        return passed(f"{use.link}{over}{cards}", about=about)
    return passed(f"{status.address} on {use.link}{over}{cards}, with carrier", about=about)


def judge_bond(bonded: Bonded, links: tuple[Link, ...]) -> Judgement:
    """Whether all its members are there and carry."""
    by_name = {link.name: link for link in links}
    active = bond.active_members(bonded, by_name)
    evidence = f"{len(active)} of {len(bonded.member_names)} members with carrier"
    faults = bond.faults(bonded, by_name)
    if not faults:
        return passed(f"{bonded.plan.mode}, {evidence}", about=bonded.name)
    say = warned if len(active) >= bonded.plan.min_members else failed
    return say(f"{evidence}: {'; '.join(faults)}", f"cat /proc/net/bonding/{bonded.name}", about=bonded.name)


def judge_mtu(wanted: Wanted, links: tuple[Link, ...]) -> Judgement:
    """Every link's MTU against the plan's."""
    there = {link.name: link.mtu for link in links if link.name in wanted.topology.mtus}
    listed = ", ".join(f"{name} {value}" for name, value in there.items()) or "no interface"
    wrong = {name: wanted.topology.mtus[name] for name, value in there.items() if value != wanted.topology.mtus[name]}
    if wrong:
        planned = ", ".join(f"{name} {value}" for name, value in wrong.items())
        return failed(
            f"the plan wants {planned}; there is: {listed}",
            "does the card's driver allow it? ip -details link show says its maxmtu",
            about="MTU",
        )
    return passed(f"{listed}, as planned", about="MTU")


def judge_route(plan: NetworkPlan, management: str, routes: tuple[Route, ...]) -> Judgement:
    """The default route, where the plan names a gateway."""
    listed = ", ".join(f"{route.gateway or 'none'} on {route.dev}" for route in routes) or "none"
    if plan.gateway is None:
        return skipped(f"the plan names no gateway; there is: {listed}", about="default route")
    if any(route.gateway == str(plan.gateway) and route.dev == management for route in routes):
        return passed(listed, about="default route")
    return failed(
        f"the plan wants {plan.gateway} on {management}, there is: {listed}",
        f"what networkd says: networkctl status {management}",
        about="default route",
    )


def judge_claimants(address: IPv4Address, macs: frozenset[str]) -> Judgement:
    """Whether other machines answer for this address."""
    if macs:
        return failed(
            f"{address} is also used by {', '.join(sorted(macs))}",
            "give one of the two another address: the slot's in the profile, or the DHCP server's lease",
            about="duplicate address",
        )
    return passed(f"nobody else answered for {address}", about="duplicate address")


def read_default_routes() -> tuple[Route, ...]:
    """The default routes of IPv4."""
    return parse_routes(run(["ip", "-json", "-4", "route", "show", "default"], timeout_s=ASK_LIMIT_S).stdout)


def parse_routes(text: str) -> tuple[Route, ...]:
    return _ROUTES.validate_json(text.strip() or "[]")
