"""The libvirt network on the guest bridge: defined, active, started with libvirt, the same name on every node."""

from __future__ import annotations

import libvirt

from firstboot.errors import RefusedError
from firstboot.libvirtd import connected
from firstboot.plan import GuestBridge


def keep(bridge: GuestBridge) -> None:
    """Make the network as it should be; raises TrivetError when libvirt does not answer or another has the name."""
    with connected(f"libvirt network {bridge.libvirt_network} on {bridge.name}") as connection:
        _keep(connection, bridge)


def document(bridge: GuestBridge) -> str:
    """The network's XML; names are DNS labels, so that nothing needs escaping."""
    return (
        f"<network><name>{bridge.libvirt_network}</name>"
        f"<forward mode='bridge'/><bridge name='{bridge.name}'/></network>"
    )


def _keep(connection: libvirt.virConnect, bridge: GuestBridge) -> None:
    known = {network.name(): network for network in connection.listAllNetworks()}
    network = known.get(bridge.libvirt_network)
    if network is None:
        network = connection.networkDefineXML(document(bridge))
    elif network.bridgeName() != bridge.name:
        raise RefusedError(
            f"libvirt network {bridge.libvirt_network} is on bridge {network.bridgeName()}, not on {bridge.name}",
            hint=f"give the plan's network another name, or undefine it: virsh net-undefine {bridge.libvirt_network}",
        )
    if not network.isActive():
        network.create()
    if not network.autostart():
        network.setAutostart(1)
