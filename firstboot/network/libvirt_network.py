"""The libvirt network on the guest bridge: defined, active, started with libvirt, the same name on every node."""

from __future__ import annotations

import libvirt

from firstboot.errors import RefusedError, TrivetError
from firstboot.plan import GuestBridge

URI = "qemu:///system"


def keep(bridge: GuestBridge) -> None:
    """Make the network as it should be; raises TrivetError when libvirt does not answer or another has the name."""
    libvirt.registerErrorHandler(_silent, None)
    try:
        connection = libvirt.open(URI)
        try:
            _keep(connection, bridge)
        finally:
            connection.close()
    except libvirt.libvirtError as error:
        raise TrivetError(
            f"libvirt network {bridge.libvirt_network} on {bridge.name}: {error}",
            hint="look at libvirt's log: journalctl -u libvirtd",
        ) from error


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


def _silent(_context: None, _error: tuple[object, ...]) -> None:
    """libvirt prints errors to standard error unless a handler takes them; they come as exceptions too."""
