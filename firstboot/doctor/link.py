"""The management interface: card, carrier, address, MTU, route, and whether another machine has the same address."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from pydantic import BaseModel, ConfigDict, TypeAdapter

from firstboot.doctor import arp
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped
from firstboot.network.facts import Link, read_links
from firstboot.network.phase import management_address, missing
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
    """All of it, against the plan and the seed's override; raises NoInterfaceError when no card matches."""
    plan, links = node.claimed_seed.plan.network, read_links()
    wanted = want(plan, node.slot, node.claimed_seed.overrides.interface, links)
    yield judge_address(wanted, links)
    yield judge_mtu(wanted, plan.mtu, links)
    yield judge_route(plan, wanted.management, read_default_routes())
    address = management_address(wanted, links)
    if isinstance(address, IPv4Address):
        mac = next(link.mac for link in links if link.name == wanted.management)
        own = frozenset(text for link in links for text in (link.mac, link.permanent_mac) if text)
        yield judge_claimants(address, arp.claimants(wanted.management, mac, address) - own)


def judge_address(wanted: Wanted, links: tuple[Link, ...]) -> Judgement:
    """Carrier and address, in the words of the phase network."""
    lack = missing(wanted, links)
    if lack is not None:
        return failed(lack.message, lack.hint or "what networkd says: networkctl status " + wanted.management)
    uplink = next(link for link in links if link.name == wanted.uplink)
    address = management_address(wanted, links)
    over = "" if wanted.management == wanted.uplink else f" over {wanted.uplink}"
    return passed(f"{address} on {wanted.management}{over} ({uplink.mac}), with carrier")


def judge_mtu(wanted: Wanted, mtu: int, links: tuple[Link, ...]) -> Judgement:
    """The card's and the bridge's MTU against the plan's."""
    names = dict.fromkeys((wanted.uplink, wanted.management))
    has = {link.name: link.mtu for link in links if link.name in names}
    listed = ", ".join(f"{name} {value}" for name, value in has.items()) or "no interface"
    if any(value != mtu for value in has.values()):
        return failed(
            f"the plan wants {mtu} bytes, there is: {listed}",
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
