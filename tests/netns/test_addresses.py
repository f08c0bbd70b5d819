"""Addresses change under a formed cluster, of one node after the other and of all at once; names stay, data too."""

from __future__ import annotations

from firstboot.paths import DOMAINS
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.conftest import Cluster
from tests.netns.looks import pool, volumes
from tests.netns.namespaces import SUBNET, Node
from tests.netns.sites import DOMAIN


def move(node: Node, address: str) -> None:
    """Another lease: the old address is gone, as is every connection to it."""
    node.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
    node.run("ip", "address", "add", f"{address}/24", "brd", "+", "dev", "eth0")
    node.run("ip", "route", "replace", "default", "via", f"{SUBNET}.254")


def knows(agent: Agent, addresses: dict[str, str]) -> bool:
    """Whether the stable names lead to these addresses, and glusterd has all its peers by them."""
    hosts = agent.node.read("/etc/hosts") or ""
    return all(f"{address}\t{name}." in hosts for name, address in addresses.items()) and all(
        peer.connected for peer in pool(agent.node).peers
    )


def settle(cluster: Cluster, addresses: dict[str, str], what: str) -> None:
    """Wait until everybody found everybody, and what was written before and now is the same everywhere."""
    agents = cluster.agents
    wait_until(what, agents, lambda: all(knows(agent, addresses) for agent in agents))
    wait_until("no problem left", agents, lambda: all(is_formed(agent) for agent in agents))
    path = DOMAINS / DOMAIN / "diary"
    for writer in agents:
        line = f"{what}: {writer.node.name}\n"
        writer.node.run("sh", "-c", f"printf %s '{line}' >> {path} && sync -f {path}")

    def same() -> bool:  # a client may show the size of a second ago
        texts = {agent.node.run("cat", path).stdout for agent in agents}
        return len(texts) == 1 and texts.pop().count(what) == len(agents)

    wait_until(f"all read the same once {what}", agents, same)


def test_addresses_change(cluster: Cluster) -> None:
    before = [volume.bricks for volume in volumes(cluster.agents[0].node)]
    names = [f"node{number}" for number in (1, 2, 3)]
    first = {name: agent.node.address for name, agent in zip(names, cluster.agents, strict=True)}
    now = dict(first)
    for name, agent in zip(names, cluster.agents, strict=True):
        now[name] = f"{SUBNET}.{100 + agent.node.number}"
        move(agent.node, now[name])
        settle(cluster, now, f"{name} moved")
    assert not set(now.values()) & set(first.values())
    for agent in cluster.agents:
        move(agent.node, agent.node.address)
    settle(cluster, first, "all moved")
    diary = cluster.agents[0].node.run("cat", DOMAINS / DOMAIN / "diary").stdout
    assert len(diary.splitlines()) == 12, "a line was lost on the way"
    assert [volume.bricks for volume in volumes(cluster.agents[0].node)] == before
    cluster.agents[0].node.run("rm", DOMAINS / DOMAIN / "diary")
