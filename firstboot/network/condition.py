"""How far the network is from what is wanted: what it lacks, what is degraded, what networkd did not do; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from firstboot.errors import TrivetError
from firstboot.network import bond
from firstboot.network.cards import listed
from firstboot.network.facts import Link
from firstboot.network.topology import MANAGEMENT, STORAGE, Bonded, Use
from firstboot.network.wanted import Wanted


def missing(wanted: Wanted, links: Sequence[Link]) -> TrivetError | None:
    """What keeps this node from going on, named; None when addresses and bridges are there."""
    for use in wanted.topology.uses:
        lack = lack_of(wanted, use, links)
        if lack is not None:
            return lack if use.name == MANAGEMENT else TrivetError(f"{use.name}: {lack.message}", hint=lack.hint)
    return wanted.topology.faults.get(STORAGE)


def lack_of(wanted: Wanted, use: Use, links: Sequence[Link]) -> TrivetError | None:
    """What one network lacks; None when its address, or its bridge, is there. Guests need no uplink for that."""
    by_name = {link.name: link for link in links}
    addressing = wanted.addressing.get(use.name)
    if addressing is not None and (lack := uplink_lack(wanted, use, links)) is not None:
        return lack
    if use.link not in by_name:
        return TrivetError(f"bridge {use.link}{f' on {use.port}' if use.port else ''} is not there yet")
    if addressing is None or wanted.address_of(use.name, links) is not None:
        return None
    if addressing.static is not None:
        return TrivetError(f"{use.link} does not have its address {addressing.static} yet")
    if addressing.method == "dhcp":
        return TrivetError(
            f"{use.link} has no address yet: no DHCP server answered on {use.port}",
            hint="is a DHCP server on this network? Otherwise use static addresses or method auto in the profile",
        )
    kind = "link-local" if addressing.method == "link-local" else "DHCP or link-local"
    return TrivetError(
        f"{use.link} has no {kind} address yet",
        hint="it takes some ten seconds; if longer, see what networkd says: networkctl status",
    )


def faults(wanted: Wanted, links: Sequence[Link]) -> list[str]:
    """What is not as planned although the node can work, a line each; what it waits for is not among it."""
    by_name = {link.name: link for link in links}
    waited = wanted.topology.faults.get(STORAGE)
    found = [error.message for error in wanted.topology.faults.values() if error != waited]
    for bonded in wanted.topology.bonds:
        found += [f"{bonded.name} is degraded: {text}" for text in bond.faults(bonded, by_name)]
    for use in wanted.topology.uses:
        if use.name not in wanted.addressing and (lack := uplink_lack(wanted, use, links)) is not None:
            found.append(f"{use.name}: {lack.message}")
    found += [
        f"{name} has an MTU of {by_name[name].mtu} bytes, the plan wants {mtu}"
        for name, mtu in wanted.topology.mtus.items()
        if name in by_name and by_name[name].mtu != mtu
    ]
    return list(dict.fromkeys([*found, *_one_network(wanted, links)]))


def unapplied(wanted: Wanted, links: Sequence[Link]) -> tuple[str, ...]:
    """The links that networkd should configure again, because an earlier reload was cut off or came too early."""
    by_name = {link.name: link for link in links}
    late = [name for name, master in _masters(wanted) if name in by_name and by_name[name].master != master]
    for use in wanted.topology.uses:
        if use.vlan_link is not None and use.vlan_link not in by_name and use.parent in by_name:
            late.append(use.parent)
        link, addressing = by_name.get(use.link), wanted.addressing.get(use.name)
        if link is None or addressing is None or not link.carrier:
            continue
        if addressing.static is not None and addressing.of(link) is None:
            late.append(use.link)
    return tuple(dict.fromkeys(late))


def _masters(wanted: Wanted) -> Iterator[tuple[str, str]]:
    for bonded in wanted.topology.bonds:
        yield from ((name, bonded.name) for name in bonded.member_names)
    for use in wanted.topology.uses:
        if use.bridge is not None and use.port is not None:
            yield use.port, use.bridge


def uplink_lack(wanted: Wanted, use: Use, links: Sequence[Link]) -> TrivetError | None:
    """What a network's card or bond lacks, or that its VLAN is not there."""
    by_name = {link.name: link for link in links}
    bonded = next((bonded for bonded in wanted.topology.bonds if bonded.name == use.parent), None)
    parent = by_name.get(use.parent or "")
    if bonded is not None and (lack := _bond_lack(bonded, by_name)) is not None:
        return lack
    if bonded is None and parent is not None and not parent.carrier:
        return TrivetError(f"{listed([parent])} has no carrier", hint="plug the cable in, or name another interface")
    if use.vlan_link is not None and use.vlan_link not in by_name:
        return TrivetError(f"{use.vlan_link} (VLAN {use.vlan} on {use.parent}) is not there yet")
    return None


def _bond_lack(bonded: Bonded, by_name: Mapping[str, Link]) -> TrivetError | None:
    if bonded.name not in by_name:
        return TrivetError(f"bond {bonded.name} is not there yet")
    active, least = len(bond.active_members(bonded, by_name)), bonded.plan.min_members
    if active >= least:
        return None
    why = "; ".join(bond.faults(bonded, by_name))
    return TrivetError(
        f"{bonded.name} has {active} of at least {least} members with carrier: {why}",
        hint="plug the cables in, or name other interfaces",
    )


def _one_network(wanted: Wanted, links: Sequence[Link]) -> list[str]:
    """Packets to storage may leave by management, and come back refused, where both are one IPv4 network."""
    both = []
    for name in (MANAGEMENT, STORAGE):
        use = wanted.topology.use(name)
        link = next((link for link in links if use is not None and link.name == use.link), None)
        both.append(wanted.addressing[name].of(link) if link is not None else None)
    one, other = both
    if one is None or other is None or not one.network.overlaps(other.network):
        return []
    return [f"management ({one}) and storage ({other}) are in one IPv4 network"]
