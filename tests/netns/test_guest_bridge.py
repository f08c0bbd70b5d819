"""The guest bridge's libvirt network, with a real libvirtd."""

from __future__ import annotations

from firstboot.plan import GuestBridge, NetworkPlan
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.namespaces import Lab, Node
from tests.unit.firstboot.sites import plan, site


def networks(node: Node) -> list[str]:
    listed = node.run("virsh", "-c", "qemu:///system", "net-list", "--all").stdout.splitlines()[2:]
    return [" ".join(line.split()) for line in listed if line.strip()]


def test_the_network_is_defined_active_and_autostarted(machines: Lab) -> None:
    (seed,) = site(1)[1]
    bridged = plan(1, network=NetworkPlan(guest_bridge=GuestBridge()))
    node = machines.add_node("machine1")
    # As systemd-networkd would: the card in the bridge, the address on the bridge.
    node.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
    node.run("ip", "link", "add", "br0", "address", node.mac, "type", "bridge", "mcast_snooping", "0")
    node.run("ip", "link", "set", "eth0", "master", "br0")
    node.run("ip", "link", "set", "br0", "up")
    node.run("ip", "address", "add", f"{node.address}/24", "brd", "+", "dev", "br0")
    agent = Agent(node, seed.model_copy(update={"plan": bridged}))
    agent.start()
    wait_until("formed", [agent], lambda: is_formed(agent))
    assert "guests active yes yes" in networks(node)
    node.run("virsh", "-c", "qemu:///system", "net-destroy", "guests")
    node.run("virsh", "-c", "qemu:///system", "net-autostart", "--disable", "guests")
    wait_until("it is made good", [agent], lambda: "guests active yes yes" in networks(node))
    node.run("virsh", "-c", "qemu:///system", "net-destroy", "guests")
    node.run("virsh", "-c", "qemu:///system", "net-undefine", "guests")
    wait_until("it is made anew", [agent], lambda: "guests active yes yes" in networks(node))
