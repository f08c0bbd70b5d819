"""Checks of addresses: those of slots in the management and the storage network, and the gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface

from builder.profile.compile_network import management_address, storage_address
from builder.profile.model import Profile
from builder.profile.problems import Place, Problem
from firstboot.plan import Method

STATIC = "static"
LINK_LOCAL = ("auto", "link-local")


@dataclass(frozen=True)
class _Addressed:
    """A network with addresses: its place, the key of a slot that has one, and how it gets them."""

    place: Place
    key: str
    method: Method
    first: IPv4Interface | None
    of: Callable[[Profile, int], IPv4Interface | None]

    @property
    def name(self) -> str:
        return ".".join(str(part) for part in self.place)


@dataclass(frozen=True)
class _Given:
    """The address of a slot (from 1), and where it is written."""

    slot: int
    place: Place
    address: IPv4Interface


def addresses(profile: Profile) -> Iterator[Problem]:
    """With method static every slot has an address, all distinct in one subnet; with another none has."""
    networks = _networks(profile)
    if profile.network.storage is None:
        for index, slot in enumerate(profile.slots):
            if slot.storage_address is not None:
                place: Place = ("slots", index, "storage_address")
                yield Problem(place, "is given, but there is no network.storage", "describe it, or leave this out")
    for network in networks:
        yield from _fitting(profile, network)
        given = list(_given(profile, network))
        yield from _usable_all(given)
        yield from _distinct(given)
        yield from _one_subnet(given)
    yield from _apart(profile, networks)


def gateway(profile: Profile) -> Iterator[Problem]:
    """A gateway is in the slots' subnet and no slot's address; without static addresses it is not given."""
    address = profile.network.gateway
    place: Place = ("network", "gateway")
    if address is None:
        return
    method = profile.network.method
    if method != STATIC:
        hint = "DHCP says it; leave it out" if method == "dhcp" else "leave it out, or use network.method: static"
        yield Problem(place, f"is given, but network.method is {method}", hint)
        return
    for index in range(len(profile.slots)):
        own = management_address(profile, index)
        if own is None:
            continue
        network = own.network
        if address not in network:
            yield Problem(place, f"{address} is not in {network}, the subnet of slot {index + 1}")
            return
        if address in (network.network_address, network.broadcast_address):
            yield Problem(place, f"{address} is the network or broadcast address of {network}")
            return
        if address == own.ip:
            yield Problem(place, f"{address} is the address of slot {index + 1}", "the router's address")


def _networks(profile: Profile) -> list[_Addressed]:
    network, storage = profile.network, profile.network.storage
    found = [_Addressed(("network",), "address", network.method, network.first_address, management_address)]
    if storage is not None:
        place: Place = ("network", "storage")
        found.append(_Addressed(place, "storage_address", storage.method, storage.first_address, storage_address))
    return found


def _given(profile: Profile, network: _Addressed) -> Iterator[_Given]:
    """The slots' own addresses, then those that follow from the first."""
    own = [index for index, slot in enumerate(profile.slots) if getattr(slot, network.key) is not None]
    for index in [*own, *(index for index in range(len(profile.slots)) if index not in own)]:
        address = network.of(profile, index)
        place: Place = ("slots", index, network.key) if index in own else (*network.place, "first_address")
        if address is not None:
            yield _Given(index + 1, place, address)


def _fitting(profile: Profile, network: _Addressed) -> Iterator[Problem]:
    """Addresses are given where the method asks for them, and only there."""
    static = network.method == STATIC
    for index, slot in enumerate(profile.slots):
        place: Place = ("slots", index, network.key)
        if not static and getattr(slot, network.key) is not None:
            yield _unasked(place, network)
        if static and network.of(profile, index) is None:
            example = f"such as {network.key}: 192.0.2.11/24, or {network.name}.first_address"
            yield Problem(place[:-1], f"has no {network.key}, but {network.name}.method is static", example)
    if not static and network.first is not None:
        yield _unasked((*network.place, "first_address"), network)


def _unasked(place: Place, network: _Addressed) -> Problem:
    return Problem(
        place,
        f"is given, but {network.name}.method is {network.method}",
        f"use {network.name}.method: static, or leave it out",
    )


def _usable_all(given: list[_Given]) -> Iterator[Problem]:
    """Each address can be a node's; of those that follow from the first, the first that can't be is told."""
    told: set[Place] = set()
    for one in given:
        fault = _fault(one.address)
        derived = one.place[-1] == "first_address"
        if fault is not None and one.place not in told:
            told.add(one.place)
            message, allowed = fault
            yield Problem(one.place, f"slot {one.slot}: {message}" if derived else message, allowed)


def _fault(address: IPv4Interface) -> tuple[str, str] | None:
    """Why a node can't have the address, and what it could have."""
    ip, network = address.ip, address.network
    if ip.is_loopback or ip.is_multicast or ip.is_unspecified or ip.is_link_local or ip.is_reserved:
        return f"{ip} can't be a node's address", "an address of your network"
    if network.prefixlen > 30:
        return f"{address} leaves no room for other nodes", "prefix lengths are 8 to 30"
    if network.prefixlen < 8:
        return f"{address} has a wrong prefix length", "prefix lengths are 8 to 30"
    if ip in (network.network_address, network.broadcast_address):
        return f"{ip} is the network or broadcast address of {network}", "an address between them"
    return None


def _distinct(given: list[_Given]) -> Iterator[Problem]:
    first: dict[object, _Given] = {}
    for one in given:
        other = first.setdefault(one.address.ip, one)
        if other is not one:
            text = f"address {one.address.ip} is also that of slot {other.slot}"
            yield Problem(one.place, text, "addresses are distinct")


def _one_subnet(given: list[_Given]) -> Iterator[Problem]:
    told: set[Place] = set()
    for one in given:
        expected = given[0].address.network
        if one.address.network != expected and one.place not in told:
            told.add(one.place)
            where = f"slot {one.slot}: " if one.place[-1] == "first_address" else ""
            yield Problem(one.place, f"{where}{one.address} is not in {expected}", "all slots are in one subnet")


def _apart(profile: Profile, networks: list[_Addressed]) -> Iterator[Problem]:
    """Two networks of a node are two IPv4 networks, or packets take the wrong one."""
    if len(networks) < 2:
        return
    management, storage = networks
    if management.method in LINK_LOCAL and storage.method in LINK_LOCAL:
        yield Problem(
            (*storage.place, "method"),
            f"{storage.method}: the link-local network 169.254.0.0/16 is taken by network.method {management.method}",
            "one of the two can have it",
        )
    of = [{one.address.network for one in _given(profile, network)} for network in networks]
    for network in of[1]:
        for other in of[0]:
            if network.overlaps(other):
                yield Problem(storage.place, f"{network} overlaps {other} of management", "a subnet of its own")
                return
