"""Checks of what is on what: interfaces, bonds, VLANs and bridges, and their MTUs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from builder.profile.check_slots import repeated, unusable_mac
from builder.profile.compile_network import bond_mtu, compile_interface
from builder.profile.model import Profile
from builder.profile.network import Bond, Bridge, Network, NetworkInterface
from builder.profile.problems import Place, Problem
from firstboot.network.cards import describe, is_exact
from firstboot.plan import Mode

TAKEN_LINKS = ("virbr", "lo", "vnet", "docker", "ovirtmgmt")
TAKEN_NETWORKS = frozenset({"default"})
VLAN_LINK = re.compile(r"vlan[0-9].*")
BOND_LINK = re.compile(r"bond[0-9]+")
OTHER_MODE = "leave it out, or use mode: both"
EXAMPLES = {"bond": "such as bond0", "bridge": "such as br0"}


@dataclass(frozen=True)
class _Use:
    """A network on an interface. `alone`: the interface itself has the address, neither VLAN nor bridge on it."""

    name: str
    place: Place
    rule: NetworkInterface
    vlan: int | None
    mtu: int
    alone: bool


def interfaces(profile: Profile) -> Iterator[Problem]:
    """A MAC address is one machine's; a rule that names a bond has nothing else; a member is nothing besides."""
    bonds = {bond.name for bond in profile.network.bonds}
    members: dict[NetworkInterface, str] = {}
    for place, rule, bond in _members(profile.network):
        yield from _rule(profile, place, rule)
        if rule in members:
            yield Problem(place, f"{_word(rule)} is a member of {members[rule]} already", "a card is in one bond")
        elif rule.name == bond:
            yield Problem(place, f"has the name of its bond, {bond}", "members are cards")
        elif rule.name in bonds:
            yield Problem(place, f"{rule.name} is a bond", "members are cards")
        members.setdefault(rule, bond)
    for place, rule in _written(profile.network):
        yield from _rule(profile, place, rule)
        if rule in members and rule.name not in bonds:
            yield Problem(place, f"{_word(rule)} is a member of {members[rule]}", f"use interface: {members[rule]}")
        elif BOND_LINK.fullmatch(rule.name or "") and rule.name not in bonds:
            yield Problem(place, f"there is no bond {rule.name}", "describe it in network.bonds")
        elif rule.name in bonds and rule != NetworkInterface(name=rule.name):
            yield Problem(place, f"{rule.name} is a bond, and has no mac, driver or pci", "leave them out")


def bonds(profile: Profile) -> Iterator[Problem]:
    """A bond can have the members that it needs, has settings of its mode alone, and is used."""
    used = {use.rule.name for use in _uses(profile.network)}
    for index, bond in enumerate(profile.network.bonds):
        place: Place = ("network", "bonds", index)
        if bond.name not in used:
            yield Problem(place, f"nothing is on {bond.name}", f"such as interface: {bond.name}, or leave it out")
        yield from _counts(place, bond)
        for key in ("lacp_rate", "hash"):
            if bond.mode != "802.3ad" and key in bond.model_fields_set:
                yield Problem(
                    (*place, key), f"is given, but mode is {bond.mode}", "use mode: 802.3ad, or leave it out"
                )


def bridges(profile: Profile) -> Iterator[Problem]:
    """Only nodes with guests have guest bridges, only nodes with storage a storage network; each says where it is."""
    network = profile.network
    if profile.mode is Mode.GLUSTER:
        places: list[Place] = [("network", "guest_bridge")] if network.guest_bridge else []
        for place in [*places, *(("network", "bridges", index) for index in range(len(network.bridges)))]:
            yield Problem(place, "is given, but mode gluster has no guests", OTHER_MODE)
    if network.storage is not None:
        place = ("network", "storage")
        if profile.mode is Mode.VIRT:
            yield Problem(place, "is given, but mode virt has no storage", OTHER_MODE)
        if network.storage.interface is None and network.storage.vlan is None:
            yield Problem(place, "has neither interface nor vlan", "such as interface: eno2, or vlan: 20")
    for index, bridge in enumerate(network.bridges):
        yield from _uplink(("network", "bridges", index), bridge)


def link_names(profile: Profile) -> Iterator[Problem]:
    """Bonds and bridges have names that nothing else has, and so have libvirt's networks."""
    network, made = profile.network, list(_made(profile.network))
    for place, name, first in repeated(made):
        yield Problem((*place, "name"), f"{name} is also the name of {_path(first)}", "names are distinct")
    cards = {rule.name: place for place, rule in _written(network)} | {
        rule.name: place for place, rule, _ in _members(network)
    }
    bonds = {bond.name for bond in network.bonds}
    for place, name in made:
        kind = "bond" if "bonds" in place else "bridge"
        if name.startswith(TAKEN_LINKS):
            yield Problem(place, f"{kind} name {name} is used by other software", EXAMPLES[kind])
        elif VLAN_LINK.fullmatch(name):
            yield Problem(place, f"{name} is what a VLAN is called", "choose another name")
        elif name in cards and name not in bonds:
            yield Problem(place, f"has the name of an interface, {name}", "choose another name")
    libvirt: list[tuple[Place, str]] = []
    if network.guest_bridge is not None:
        libvirt.append((("network", "guest_bridge"), network.guest_bridge.libvirt_network))
    for index, bridge in enumerate(network.bridges):
        libvirt.append((("network", "bridges", index), bridge.libvirt_network or bridge.name))
    for place, name, first in repeated(libvirt):
        yield Problem(place, f"libvirt network {name} is also that of {_path(first)}", "names are distinct")
    for place, name in libvirt:
        if name in TAKEN_NETWORKS:
            yield Problem(place, f"libvirt has a network {name} of its own", "such as guests")


def sharing(profile: Profile) -> Iterator[Problem]:
    """An interface carries one network untagged and one with each VLAN tag."""
    first: dict[tuple[NetworkInterface, int | None], _Use] = {}
    for use in _uses(profile.network):
        other = first.setdefault((use.rule, use.vlan), use)
        if other is not use:
            how = "untagged" if use.vlan is None else f"with VLAN {use.vlan}"
            yield Problem(
                use.place, f"{_word(use.rule)} carries {other.name} {how} already", "another interface or vlan"
            )


def mtus(profile: Profile) -> Iterator[Problem]:
    """No VLAN or bridge has a larger MTU than the interface that it is on."""
    network, uses = profile.network, _uses(profile.network)
    bonds = {bond.name: (index, bond) for index, bond in enumerate(network.bonds)}
    for rule in dict.fromkeys(use.rule for use in uses):
        on = [use for use in uses if use.rule == rule]
        own = next((use for use in on if use.alone), None)
        limit, of = (own.mtu, own.place) if own else (max(use.mtu for use in on), ())
        if rule.name in bonds:
            index, bond = bonds[rule.name]
            limit, of = bond_mtu(network, bond), ("network", "bonds", index)
            if own is not None and own.mtu < limit:
                text = f"{limit} bytes, but {own.name}, which is on {bond.name} itself, has {own.mtu}"
                yield Problem(("network", "bonds", index, "mtu"), text, "give both the same")
        for use in on:
            if use.mtu > limit:
                text = f"{use.mtu} bytes is more than the {limit} of {_word(rule)}, which it is on"
                yield Problem((*use.place, "mtu"), text, f"raise {_path(of)}.mtu, or lower this one")


def _uses(network: Network) -> list[_Use]:
    """The networks that are on interfaces, management first."""
    own, storage = network.interface, network.storage
    alone = network.vlan is None and network.guest_bridge is None
    found = [_Use("management", ("network",), own, network.vlan, network.mtu, alone)]
    if storage is not None and (storage.interface or storage.vlan):
        mtu = storage.mtu or network.mtu
        rule = storage.interface or own
        found.append(_Use("storage", ("network", "storage"), rule, storage.vlan, mtu, storage.vlan is None))
    for index, bridge in enumerate(network.bridges):
        if not bridge.isolated and (bridge.interface or bridge.vlan):
            place: Place = ("network", "bridges", index)
            rule = bridge.interface or own
            found.append(_Use(bridge.name, place, rule, bridge.vlan, bridge.mtu or network.mtu, False))
    return found


def _written(network: Network) -> Iterator[tuple[Place, NetworkInterface]]:
    """Every rule for one card or a bond."""
    yield ("network", "interface"), network.interface
    if network.storage is not None and network.storage.interface is not None:
        yield ("network", "storage", "interface"), network.storage.interface
    for index, bridge in enumerate(network.bridges):
        if bridge.interface is not None:
            yield ("network", "bridges", index, "interface"), bridge.interface


def _members(network: Network) -> Iterator[tuple[Place, NetworkInterface, str]]:
    for index, bond in enumerate(network.bonds):
        for number, rule in enumerate(bond.members):
            yield ("network", "bonds", index, "members", number), rule, bond.name


def _made(network: Network) -> Iterator[tuple[Place, str]]:
    """Every link that the plan makes."""
    if network.guest_bridge is not None:
        yield ("network", "guest_bridge"), network.guest_bridge.name
    yield from ((("network", "bonds", index), bond.name) for index, bond in enumerate(network.bonds))
    yield from ((("network", "bridges", index), bridge.name) for index, bridge in enumerate(network.bridges))


def _rule(profile: Profile, place: Place, rule: NetworkInterface) -> Iterator[Problem]:
    if rule.mac is not None:
        yield from unusable_mac(rule.mac, (*place, "mac"))
        if len(profile.slots) > 1:
            yield Problem(
                (*place, "mac"),
                f"one MAC address can't be the interface of {len(profile.slots)} machines",
                "use interface.name, or an override in each seed",
            )
    if rule.name == "lo":
        yield Problem((*place, "name"), "lo is the loopback interface", "a wired interface such as eno1")


def _counts(place: Place, bond: Bond) -> Iterator[Problem]:
    exact = all(is_exact(compile_interface(rule)) for rule in bond.members)
    most = bond.count or (len(bond.members) if exact else None)
    if bond.count is not None and bond.count < len(bond.members):
        text = f"{bond.count} cards, but each of its {len(bond.members)} rules matches one at least"
        yield Problem((*place, "count"), text, f"at least {len(bond.members)}")
    elif exact and bond.count is not None and bond.count > len(bond.members):
        yield Problem((*place, "count"), f"{bond.count} cards, but its members name {len(bond.members)}")
    if most is not None and bond.min_members > most:
        yield Problem(
            (*place, "min_members"), f"{bond.min_members} of {most} cards can't have a link", f"at most {most}"
        )


def _uplink(place: Place, bridge: Bridge) -> Iterator[Problem]:
    if bridge.isolated and (bridge.interface or bridge.vlan):
        key = "interface" if bridge.interface else "vlan"
        yield Problem((*place, key), "is given, but the bridge is isolated", "leave one of the two out")
    elif not bridge.isolated and bridge.interface is None and bridge.vlan is None:
        yield Problem(
            place, "has neither interface nor vlan", "such as interface: eno3, or vlan: 30; or isolated: true"
        )


def _word(rule: NetworkInterface) -> str:
    """A rule in words, for messages."""
    if rule == NetworkInterface():
        return "the management interface"
    if rule.name is not None and rule == NetworkInterface(name=rule.name):
        return rule.name
    return f"the interface with {describe(compile_interface(rule))}"


def _path(place: Place) -> str:
    return Problem(place, "").path
