"""Checks of the network: addresses of slots, gateway, interface, bridge, services."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface
from urllib.parse import urlsplit

from builder.profile.check_slots import repeated, unusable_mac
from builder.profile.model import Profile
from builder.profile.problems import Place, Problem
from firstboot.plan import Mode

STATIC = "static"
TAKEN_BRIDGES = ("virbr", "lo", "vnet", "docker", "ovirtmgmt")
TAKEN_NETWORKS = frozenset({"default"})


def addresses(profile: Profile) -> Iterator[Problem]:
    """With method static every slot has an address, all distinct in one subnet; with dhcp none has."""
    given: list[tuple[Place, IPv4Interface]] = []
    for index, slot in enumerate(profile.slots):
        place: Place = ("slots", index, "address")
        if slot.address is not None:
            given.append((place, slot.address))
        if profile.network.method != STATIC and slot.address is not None:
            yield Problem(
                place, "is given, but network.method is dhcp", "use network.method: static, or leave it out"
            )
        if profile.network.method == STATIC and slot.address is None:
            yield Problem(
                place[:-1], "has no address, but network.method is static", "such as address: 192.0.2.11/24"
            )
    for place, address in given:
        yield from _usable(place, address)
    for place, ip, first in repeated([(place, address.ip) for place, address in given]):
        yield Problem(place, f"address {ip} is also that of slot {int(first[1]) + 1}", "addresses are distinct")
    networks = {address.network for _, address in given}
    if len(networks) > 1:
        expected = given[0][1].network
        for place, address in given:
            if address.network != expected:
                yield Problem(place, f"{address} is not in {expected}", "all slots are in one subnet")


def _usable(place: Place, address: IPv4Interface) -> Iterator[Problem]:
    ip, network = address.ip, address.network
    if ip.is_loopback or ip.is_multicast or ip.is_unspecified or ip.is_link_local or ip.is_reserved:
        yield Problem(place, f"{ip} can't be a node's address", "an address of your network")
    elif network.prefixlen > 30:
        yield Problem(place, f"{address} leaves no room for other nodes", "prefix lengths are 8 to 30")
    elif network.prefixlen < 8:
        yield Problem(place, f"{address} has a wrong prefix length", "prefix lengths are 8 to 30")
    elif ip in (network.network_address, network.broadcast_address):
        yield Problem(place, f"{ip} is the network or broadcast address of {network}", "an address between them")


def gateway(profile: Profile) -> Iterator[Problem]:
    """A gateway is in the slots' subnet and no slot's address; with dhcp it is not given."""
    address = profile.network.gateway
    place: Place = ("network", "gateway")
    if address is None:
        return
    if profile.network.method != STATIC:
        yield Problem(place, "is given, but network.method is dhcp", "DHCP says it; leave it out")
        return
    for index, slot in enumerate(profile.slots):
        if slot.address is None:
            continue
        network = slot.address.network
        if address not in network:
            yield Problem(place, f"{address} is not in {network}, the subnet of slot {index + 1}")
            return
        if address in (network.network_address, network.broadcast_address):
            yield Problem(place, f"{address} is the network or broadcast address of {network}")
            return
        if address == slot.address.ip:
            yield Problem(place, f"{address} is the address of slot {index + 1}", "the router's address")


def interface(profile: Profile) -> Iterator[Problem]:
    """A MAC address is one machine's; a name is not the bridge's."""
    chosen = profile.network.interface
    place: Place = ("network", "interface")
    if chosen.mac is not None:
        yield from unusable_mac(chosen.mac, (*place, "mac"))
        if len(profile.slots) > 1:
            yield Problem(
                (*place, "mac"),
                f"one MAC address can't be the interface of {len(profile.slots)} machines",
                "use interface.name, or an override in each seed",
            )
    if chosen.name == "lo":
        yield Problem((*place, "name"), "lo is the loopback interface", "a wired interface such as eno1")
    bridge = profile.network.guest_bridge
    if bridge and chosen.name == bridge.name:
        yield Problem(("network", "guest_bridge"), f"has the name of the management interface, {bridge.name}")


def guest_bridge(profile: Profile) -> Iterator[Problem]:
    """Only nodes with guests have a guest bridge; Debian's libvirt has names of its own."""
    bridge = profile.network.guest_bridge
    place: Place = ("network", "guest_bridge")
    if bridge is None:
        return
    if profile.mode is Mode.GLUSTER:
        yield Problem(place, "is given, but mode gluster has no guests", "leave it out, or use mode: both")
    if bridge.name.startswith(TAKEN_BRIDGES):
        yield Problem(place, f"bridge name {bridge.name} is used by other software", "such as br0")
    if bridge.libvirt_network in TAKEN_NETWORKS:
        yield Problem(place, f"libvirt has a network {bridge.libvirt_network} of its own", "such as guests")


def services(profile: Profile) -> Iterator[Problem]:
    """DNS, search domains and time servers are given once each; the proxy is a URL without secrets."""
    network = profile.network
    for key, values in (("dns", network.dns), ("search", network.search), ("ntp", network.ntp)):
        for place, value, _ in repeated([(("network", key, index), value) for index, value in enumerate(values)]):
            yield Problem(place, f"{value} is there twice")
    for index, server in enumerate(network.dns):
        if server.is_loopback or server.is_unspecified or server.is_multicast:
            yield Problem(("network", "dns", index), f"{server} is no DNS server that nodes can reach")
    if network.proxy is not None:
        yield from _proxy(network.proxy)


def _proxy(proxy: str) -> Iterator[Problem]:
    place: Place = ("network", "proxy")
    example = "such as http://proxy.example:3128"
    try:
        url = urlsplit(proxy)
        host, _ = url.hostname, url.port
    except ValueError:
        yield Problem(place, "is not a URL", example)
        return
    if url.scheme not in ("http", "https") or not host:
        yield Problem(place, "is not an http or https URL", example)
    elif url.username or url.password:
        yield Problem(place, "has a user name or password, and plans hold no secrets", example)
    elif url.path not in ("", "/") or url.query or url.fragment:
        yield Problem(place, "has more than scheme, host and port", example)
