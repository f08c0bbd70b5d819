"""Names and numbers of a lab's network, all derived from the lab's name; the subnet keeps off what the host uses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address

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


def bridge_name(lab: str, index: int = 0) -> str:
    """The lab's switches, from 0. At most 15 characters: the kernel's limit."""
    return f"trivet-{short_hash(lab)}{f'-{index}' if index else ''}"


def port_name(lab: str, index: int) -> str:
    """This machine's access ports."""
    return f"trv{short_hash(lab)}-p{index}"


def tap_name(lab: str, number: int, index: int = 0) -> str:
    """A node's cards, from 0. libvirt treats the prefix vnet as its own; this one it leaves alone."""
    return f"trv{short_hash(lab)}-{number}{chr(ord('a') + index) if index else ''}"


def mac_address(lab: str, number: int, index: int = 0) -> str:
    """In QEMU's range; the same lab's node keeps its MACs."""
    digest = short_hash(lab)
    return f"52:54:{index:02x}:{digest[:2]}:{digest[2:4]}:{number % 256:02x}"


def switch_mac(lab: str, index: int) -> str:
    """Apart from those of cards."""
    digest = short_hash(lab)
    return f"52:54:ff:{digest[:2]}:{digest[2:4]}:{index:02x}"


def udp_port(lab: str) -> int:
    """The first of the lab's UDP ports for cables, outside of the kernel's range for outgoing connections."""
    return 20_000 + int(short_hash(lab), 16) % 400 * 30


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


def offered_address(subnet: IPv4Network, number: int) -> IPv4Address:
    """What DHCP offers to the node."""
    return subnet[FIRST_NODE_HOST + number]


def link_local(mac: str, link: str) -> str:
    """The IPv6 link-local address of an interface with this MAC, with its scope here (RFC 4291, appendix A)."""
    parts = [int(part, 16) for part in mac.split(":")]
    parts = [parts[0] ^ 2, *parts[1:3], 0xFF, 0xFE, *parts[3:]]
    groups = [f"{parts[i] << 8 | parts[i + 1]:x}" for i in range(0, 8, 2)]
    return f"{IPv6Address('fe80:0:0:0:' + ':'.join(groups))}%{link}"
