"""A storage network of its own: Gluster is on it alone, and does not notice when management is cut."""

from __future__ import annotations

import re
from pathlib import Path

from builder.site.folder import create_site
from firstboot.paths import DOMAINS
from firstboot.plan import Interface, NetworkPlan, StorageNetwork
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.looks import pool
from tests.netns.namespaces import SUBNET, Lab, Node
from tests.netns.sites import DISK_BYTES, DOMAIN, make_plan, make_seed

STORAGE = "10.92.7"
NUMBERS = (1, 2, 3)


def plug_storage(place: Lab, node: Node) -> None:
    """A second card on a second switch, with its address."""
    port, switch = f"storage{node.number}", place.switch
    switch.ip("link", "add", port, "type", "veth", "peer", "name", "eth1", "netns", str(node.pid))
    switch.ip("link", "set", port, "mtu", "9000", "master", "br1", "up")
    node.run("ip", "link", "set", "eth1", "mtu", "9000", "up")
    node.run("ip", "address", "add", f"{STORAGE}.{node.number}/24", "brd", "+", "dev", "eth1")


def gluster_connections(node: Node) -> set[str]:
    """The far ends of established connections of Gluster's programs, without those inside the node."""
    listed = node.run("ss", "-Htnp", "state", "established").stdout.splitlines()
    rows = [line.split() for line in listed if "gluster" in line]
    own = {f"{net}.{node.number}" for net in (SUBNET, STORAGE)} | {"127.0.0.1"}
    ends = {row[3].rpartition(":")[0].removeprefix("[::ffff:").strip("[]") for row in rows}
    return ends - own


def test_gluster_is_on_the_storage_network_alone(machines: Lab, tmp_path: Path) -> None:
    storage = StorageNetwork(interface=Interface(name="eth1"), mtu=9000)
    network = NetworkPlan(interface=Interface(name="eth0"), storage=storage)
    site = create_site(tmp_path / "site", "lab", make_plan(3).model_copy(update={"network": network}))
    machines.switch.ip("link", "add", "br1", "type", "bridge", "forward_delay", "0")
    machines.switch.ip("link", "set", "br1", "up")
    agents = []
    for number in NUMBERS:
        node = machines.add_node(f"machine{number}", disks=(DISK_BYTES,))
        if number != 3:
            plug_storage(machines, node)
        agents.append(Agent(node, make_seed(site, number, node.disks[0].device)))
        agents[-1].start()
    last = agents[-1]
    wait_until(
        "the node without its storage card waits by name",
        agents,
        lambda: (status := last.status) is not None and "storage: no wired network interface" in status.reason,
    )
    plug_storage(machines, last.node)
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    for agent in agents:
        hosts = agent.node.read("/etc/hosts") or ""
        assert [line.split()[0] for line in re.findall(r".*\.lab\.trivet\.internal.*", hosts)] == [
            f"{STORAGE}.{number}" for number in NUMBERS
        ]
        ends = gluster_connections(agent.node)
        assert ends
        assert all(end.startswith(f"{STORAGE}.") for end in ends), ends
        status = agent.status
        assert status is not None
        assert status.addresses == (agent.node.address, f"{STORAGE}.{agent.node.number}")
        assert [card.rule for known in status.networks for card in known.cards] == ["name eth0", "name eth1"]
    _cut_management(machines, agents)


def _cut_management(machines: Lab, agents: list[Agent]) -> None:
    """Node 2 is out of the management network: that is named everywhere, and Gluster goes on."""
    first, second, third = agents
    machines.switch.ip("link", "set", f"port{second.node.number}", "down")
    wait_until(
        "the cut node names it",
        agents,
        lambda: (status := second.status) is not None and any("no carrier" in text for text in status.problems),
    )
    path = DOMAINS / DOMAIN / "written"
    second.node.run("sh", "-c", f"echo while cut > {path} && sync -f {path}")
    for agent in (first, third):
        assert agent.node.run("cat", path).stdout == "while cut\n"
        assert all(peer.connected for peer in pool(agent.node).peers)
        assert f"{STORAGE}.{second.node.number}\tnode2." in (agent.node.read("/etc/hosts") or "")
    machines.switch.ip("link", "set", f"port{second.node.number}", "up")
    wait_until("all is well again", agents, lambda: all(is_formed(agent) for agent in agents))
