"""From the profile's section network to the plan's, and the addresses that follow from the first one."""

from __future__ import annotations

from ipaddress import IPv4Interface

from builder.profile.model import Profile
from builder.profile.network import Bond, Bridge, Network, NetworkInterface
from firstboot import plan


def compile_network(network: Network) -> plan.NetworkPlan:
    """The plan's form of a checked section."""
    bridge, storage = network.guest_bridge, network.storage
    return plan.NetworkPlan(
        interface=compile_interface(network.interface),
        vlan=network.vlan,
        method=network.method,
        gateway=network.gateway,
        mtu=network.mtu,
        guest_bridge=plan.GuestBridge(name=bridge.name, libvirt_network=bridge.libvirt_network) if bridge else None,
        bonds=tuple(_bond(network, bond) for bond in network.bonds),
        storage=plan.StorageNetwork(
            interface=_own(storage.interface),
            vlan=storage.vlan,
            method=storage.method,
            mtu=storage.mtu or network.mtu,
        )
        if storage
        else None,
        bridges=tuple(_bridge(network, bridge) for bridge in network.bridges),
        dns=network.dns,
        search=network.search,
        ntp=network.ntp,
        proxy=network.proxy,
    )


def compile_interface(rule: NetworkInterface) -> plan.Interface:
    """The plan's form of a card's rule."""
    return plan.Interface(name=rule.name, mac=rule.mac, driver=rule.driver, pci=rule.pci)


def management_address(profile: Profile, index: int) -> IPv4Interface | None:
    """The management address of the slot at this index: its own, or the one that its number leads to."""
    return profile.slots[index].address or _follow(profile.network.first_address, index)


def storage_address(profile: Profile, index: int) -> IPv4Interface | None:
    """The storage address of the slot at this index."""
    storage = profile.network.storage
    return profile.slots[index].storage_address or _follow(storage.first_address if storage else None, index)


def bond_mtu(network: Network, bond: Bond) -> int:
    """As written, or what its networks need."""
    needs = [mtu for rule, mtu in _needs(network) if rule.name == bond.name]
    return bond.mtu if bond.mtu is not None else max(needs, default=network.mtu)


def _needs(network: Network) -> list[tuple[NetworkInterface, int]]:
    """Each network's interface and MTU."""
    found = [(network.interface, network.mtu)]
    if network.storage is not None:
        found.append((network.storage.interface or network.interface, network.storage.mtu or network.mtu))
    found += [
        (bridge.interface or network.interface, bridge.mtu or network.mtu)
        for bridge in network.bridges
        if not bridge.isolated
    ]
    return found


def _follow(first: IPv4Interface | None, index: int) -> IPv4Interface | None:
    if first is None or int(first.ip) + index >= 2**32:
        return None
    return IPv4Interface((int(first.ip) + index, first.network.prefixlen))


def _own(rule: NetworkInterface | None) -> plan.Interface | None:
    return compile_interface(rule) if rule else None


def _bond(network: Network, bond: Bond) -> plan.Bond:
    return plan.Bond(
        name=bond.name,
        mode=bond.mode,
        members=tuple(compile_interface(rule) for rule in bond.members),
        count=bond.count,
        min_members=bond.min_members,
        mtu=bond_mtu(network, bond),
        miimon_ms=bond.miimon,
        lacp_rate=bond.lacp_rate,
        hash=bond.hash,
    )


def _bridge(network: Network, bridge: Bridge) -> plan.Bridge:
    return plan.Bridge(
        name=bridge.name,
        libvirt_network=bridge.libvirt_network or bridge.name,
        interface=_own(bridge.interface),
        vlan=bridge.vlan,
        isolated=bridge.isolated,
        mtu=bridge.mtu or network.mtu,
    )
