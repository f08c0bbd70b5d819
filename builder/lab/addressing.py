"""Names and numbers of a lab's network, all derived from the lab's name; the subnet keeps off what the host uses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from firstboot.errors import RefusedError
from firstboot.plan import Plan

POOL = IPv4Network("10.192.0.0/11")
"""Subnets of labs are /24 networks of this block, which few sites use."""

FIRST_NODE_HOST = 10


@dataclass(frozen=True)
class Subnet:
    """A lab's network and the workstation's address in it."""

    network: IPv4Network
    host: IPv4Address


def short_hash(name: str) -> str:
    """Six hex digits for interface names and MACs, which have little room."""
    return hashlib.sha256(name.encode()).hexdigest()[:6]


def bridge_name(lab: str) -> str:
    """At most 15 characters: the kernel's limit."""
    return f"trivet-{short_hash(lab)}"


def tap_name(lab: str, number: int) -> str:
    """libvirt treats the prefix vnet as its own; this one it leaves alone."""
    return f"trv{short_hash(lab)}-{number}"


def mac_address(lab: str, number: int) -> str:
    """In QEMU's range; the same lab's node keeps its MAC."""
    digest = short_hash(lab)
    return f"52:54:00:{digest[:2]}:{digest[2:4]}:{number % 256:02x}"


def choose_subnet(lab: str, used: Iterable[IPv4Network]) -> Subnet:
    """The first free /24, searched from a place that the lab's name picks; raises RefusedError if none is free."""
    taken = [network for network in used if network.prefixlen > 0]
    networks = list(POOL.subnets(new_prefix=24))
    start = int(short_hash(lab), 16) % len(networks)
    for network in networks[start:] + networks[:start]:
        if not any(network.overlaps(other) for other in taken):
            return Subnet(network, network[1])
    raise RefusedError(f"every subnet of {POOL} is routed on this machine", hint="remove a route, or take a lab down")


def static_subnet(plan: Plan, used: Iterable[IPv4Network]) -> Subnet:
    """The network of a plan with static addresses; the workstation takes the gateway's, or the last free address."""
    addresses = [slot.address for slot in plan.slots if slot.address is not None]
    if not addresses:
        raise RefusedError(f"plan {plan.name} is static but gives no addresses", hint="give every slot an address")
    network = addresses[0].network
    for other in used:
        if other.prefixlen > 0 and network.overlaps(other):
            raise RefusedError(
                f"the plan's network {network} overlaps {other}, which this machine already has a route to",
                hint="use another network in the profile for the lab",
            )
    taken = {address.ip for address in addresses}
    if plan.network.gateway is not None and plan.network.gateway in network:
        return Subnet(network, plan.network.gateway)
    for offset in range(2, min(network.num_addresses, 300)):
        if network[-offset] not in taken:
            return Subnet(network, network[-offset])
    raise RefusedError(f"network {network} has no address left for the workstation", hint="use a larger network")


def node_address(subnet: Subnet, plan: Plan, number: int) -> IPv4Address:
    """What DHCP offers to the node; with static addressing, the plan's own."""
    address = plan.slot(number).address
    if plan.network.method == "static" and address is not None:
        return address.ip
    return subnet.network[FIRST_NODE_HOST + number]
