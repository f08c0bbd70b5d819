"""A bond: its file, and what its links say about its health; pure."""

from __future__ import annotations

from collections.abc import Mapping

from firstboot.network.cards import listed
from firstboot.network.facts import Link
from firstboot.network.files import Lines, netdev
from firstboot.network.topology import Bonded
from firstboot.plan import Bond


def file(bond: Bonded) -> str:
    """systemd.netdev(5). `MinLinks` counts in mode 802.3ad alone; the phase looks after it in the other."""
    plan = bond.plan
    lines: Lines = [("Mode", plan.mode), ("MIIMonitorSec", f"{plan.miimon_ms}ms")]
    if plan.mode == "802.3ad":
        lines += [("LACPTransmitRate", plan.lacp_rate), ("TransmitHashPolicy", plan.hash)]
        lines += [("MinLinks", plan.min_members)]
    return netdev(bond.name, "bond", bond.mac, plan.mtu, ("Bond", lines))


def active_members(bond: Bonded, links: Mapping[str, Link]) -> tuple[Link, ...]:
    """The members that can carry traffic now."""
    there = [links[name] for name in bond.member_names if name in links]
    return tuple(link for link in there if link.master == bond.name and link.carrier)


def faults(bond: Bonded, links: Mapping[str, Link]) -> list[str]:
    """What makes the bond less than it should be, a line each, without its name."""
    found = list(bond.members.lacking)
    for choice in bond.members.cards:
        link = links.get(choice.card.name)
        if link is None:
            continue
        if link.master != bond.name:
            found.append(f"{link.name} ({link.hardware_mac}) is not in it yet")
        elif not link.carrier:
            found.append(f"{link.name} ({link.hardware_mac}) has no carrier")
    if bond.plan.mode == "802.3ad" and bond.name in links:
        found += _partner_faults(bond.plan, links[bond.name], active_members(bond, links))
    return found


def _partner_faults(plan: Bond, link: Link, active: tuple[Link, ...]) -> list[str]:
    """Whether the other side speaks LACP, and on all cables as one."""
    partner = link.info.data.partner
    if partner is None or not active:
        return []
    if not partner.answers:
        return [f"nobody speaks LACP on {listed(active)}"]
    apart = [member for member in active if member.info.member.aggregator not in (None, partner.aggregator)]
    return [f"{listed(apart)}: the other side does not take it into the same aggregate"] if apart else []
