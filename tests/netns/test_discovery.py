"""Members find each other on networks that lose, cut, have no multicast or no common subnet, or change addresses."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from firstboot.network.address import PEERS_OPTION, Addressing, dhcp_lines, lines
from firstboot.network.files import Lines, file_text
from firstboot.plan import NetworkPlan
from firstboot.seed import Seed
from tests.netns import weather
from tests.netns.agents import Agent, is_formed, says, wait_until
from tests.netns.looks import pool, volumes
from tests.netns.namespaces import SUBNET, Lab, Node
from tests.netns.sites import make_site, with_disks
from tests.unit.firstboot.sites import issue, plan, site

DOMAIN = "example.test"
CUT_S = 40.0


def start(machines: Lab, seeds: list[Seed]) -> list[Agent]:
    agents = [Agent(machines.add_node(f"machine{len(machines.nodes) + 1}"), seed) for seed in seeds]
    for agent in agents:
        agent.start()
    return agents


def form(agents: list[Agent]) -> None:
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    assert [agent.journal.founder_slot for agent in agents] == [1] * len(agents)


def found_by(agent: Agent, slot: int) -> set[str]:
    """The ways by which a node knows another's address."""
    assert agent.status is not None
    (peer,) = [peer for peer in agent.status.peers if peer.slot == slot]
    return set(peer.found_by)


def know(agents: list[Agent], addresses: dict[str, str]) -> bool:
    """Whether every node's stable names lead there."""
    hosts = [agent.node.read("/etc/hosts") or "" for agent in agents]
    return all(f"{address}\t{name}." in text for text in hosts for name, address in addresses.items())


def give(node: Node, address: str) -> None:
    """Another address; the old ones are gone. IPv6's stays."""
    node.run("ip", "-4", "address", "flush", "dev", "eth0")
    node.run("ip", "address", "add", f"{address}/24", "brd", "+", "dev", "eth0")


@pytest.mark.full
def test_a_third_of_all_frames_is_lost(machines: Lab) -> None:
    weather.lose(machines.switch, 30)
    form(start(machines, site(3)[1]))
    assert weather.counted(machines.switch, "lost") > 100


def test_a_node_falls_silent_in_the_middle(machines: Lab) -> None:
    seeds = site(3)[1]
    first, second = start(machines, seeds[:2])
    wait_until(
        "they met",
        [first, second],
        lambda: all(says(agent, "waiting", "slot 3 (node3) has not appeared") for agent in (first, second)),
    )
    weather.silence(machines.switch, second.node)
    (third,) = start(machines, seeds[2:])
    named = "slot 2 (node2) does not answer at its management address"
    wait_until("its silence is named", [first, third], lambda: says(first, "waiting", named))
    assert [agent.journal.founder_slot for agent in (first, second, third)] == [None] * 3
    assert weather.counted(machines.switch, f"cut{second.node.number}") > 0
    weather.clear(machines.switch)
    form([first, second, third])


def test_without_a_common_subnet_they_meet_by_ipv6_and_say_what_is_wrong(machines: Lab) -> None:
    seeds = site(2)[1]
    agents = [Agent(machines.add_node(f"machine{number}"), seed) for number, seed in enumerate(seeds, 1)]
    first, second = agents
    give(second.node, "198.51.100.2")
    for agent in agents:
        agent.start()
    stated = "slot 2 (node2) does not answer at its management address 198.51.100.2"
    wait_until("the first met the second", agents, lambda: says(first, "waiting", stated))
    assert first.journal.founder_slot is None
    give(second.node, f"{SUBNET}.77")
    form(agents)
    wait_until("its address is known", agents, lambda: know(agents, {"node2": f"{SUBNET}.77"}))


def test_without_dhcp_and_ipv4_multicast_link_local_addresses_are_enough(machines: Lab) -> None:
    """They hear of each other by IPv6 only, and meet at the IPv4 addresses that networkd takes where no DHCP is."""
    weather.rule(machines.switch, "deaf4", f"ether type ip {weather.MDNS}")
    auto = plan(3, network=NetworkPlan(method="auto"))
    seeds = [seed.model_copy(update={"plan": auto}) for seed in site(3)[1]]
    agents = [Agent(machines.add_node(f"machine{number}"), seed) for number, seed in enumerate(seeds, 1)]
    addresses = {f"node{agent.node.number}": f"169.254.7.{agent.node.number}" for agent in agents}
    for agent, address in zip(agents, addresses.values(), strict=True):
        agent.node.run("ip", "-4", "address", "flush", "dev", "eth0")
        agent.node.run("ip", "address", "add", f"{address}/16", "brd", "+", "dev", "eth0", "scope", "link")
        agent.start()
    form(agents)
    wait_until("they have each other's addresses", agents, lambda: know(agents, addresses))
    assert weather.counted(machines.switch, "deaf4") > 0


def test_addresses_change_while_nodes_wait(machines: Lab) -> None:
    seeds = site(3)[1]
    first, second = start(machines, seeds[:2])
    agents = [first, second]
    wait_until("they met", agents, lambda: all(says(a, "waiting", "slot 3 (node3) has not appeared") for a in agents))
    give(second.node, f"{SUBNET}.77")
    second.node.run("ip", "link", "set", "eth0", "down")
    second.node.run("ip", "link", "set", "eth0", "up")
    (third,) = start(machines, seeds[2:])
    form([first, second, third])
    wait_until("its address is known", agents, lambda: know([first, second, third], {"node2": f"{SUBNET}.77"}))


@contextmanager
def running(node: Node, *argv: str) -> Iterator[None]:
    """A daemon of a node."""
    with subprocess.Popen(
        node.argv(*argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as daemon:
        try:
            yield
        finally:
            daemon.kill()


def dnsmasq(*options: str) -> tuple[str, ...]:
    return "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root", "--leasefile-ro", *options


def lease(node: Node) -> ExitStack:
    """The real systemd-networkd, with the lines that the agent writes for a management network by DHCP."""
    how = Addressing("dhcp", None, main=True)
    sections: list[tuple[str, Lines]] = [
        ("Match", [("Name", "eth0")]),
        ("Network", lines(how)),
        ("DHCPv4", dhcp_lines(how)),
    ]
    node.write("/etc/systemd/network/10-eth0.network", file_text(sections).encode())
    index = node.run("cat", "/sys/class/net/eth0/ifindex").stdout.strip()
    node.write(f"/run/udev/data/n{index}", b"I:1\n")  # what udev would say: the interface is ready
    node.run("mkdir", "-p", *(f"/run/systemd/netif/{folder}" for folder in ("leases", "links", "lldp")))
    node.run("chown", "-R", "systemd-network:", "/run/systemd/netif")
    stack = ExitStack()
    stack.enter_context(running(node, "/lib/systemd/systemd-networkd"))
    return stack


def test_without_multicast_a_dns_name_is_enough(machines: Lab) -> None:
    """It leads to one member only: that one tells where the others are."""
    weather.forbid_multicast(machines.switch)
    server = machines.add_node("nameserver")
    with running(server, *dnsmasq(f"--host-record=trivet-peers.{DOMAIN},{SUBNET}.2")):
        agents = [Agent(machines.add_node(f"machine{number}"), seed) for number, seed in enumerate(site(3)[1], 1)]
        assert agents[0].node.address == f"{SUBNET}.2"
        for agent in agents:
            agent.node.write("/etc/resolv.conf", f"nameserver {server.address}\nsearch {DOMAIN}\n".encode())
        *agents, last = agents
        for agent in agents:
            agent.start()
        looks = ("slot 3 (node3) has not appeared. Looked for by multicast: heard 0 of 2",)
        way = f"DNS name trivet-peers.{DOMAIN}: 1 address"
        wait_until("it says how it looks", agents, lambda: says(agents[1], "waiting", *looks, way))
        last.start()
        form([*agents, last])
        assert found_by(last, 1) == {f"DNS name trivet-peers.{DOMAIN}"}
    assert weather.counted(machines.switch, "deaf") > 0


def test_without_multicast_a_dhcp_option_is_enough(machines: Lab) -> None:
    weather.forbid_multicast(machines.switch)
    server = machines.add_node("dhcpserver")
    hosts = [f"--dhcp-host=02:91:07:00:00:{number:02x},{SUBNET}.{number}" for number in (2, 3)]
    option = f"--dhcp-option={PEERS_OPTION},{SUBNET}.2"
    with ExitStack() as stack:
        serving = dnsmasq("--port=0", f"--dhcp-range={SUBNET}.0,static", option, *hosts)
        stack.enter_context(running(server, *serving))
        first, second = (Agent(machines.add_node(f"machine{n}"), seed) for n, seed in enumerate(site(2)[1], 1))
        stack.enter_context(lease(second.node))
        second.start()
        way = f"DHCP option {PEERS_OPTION}: 1 address"
        wait_until("it says how it looks", [second], lambda: says(second, "waiting", "heard 0 of 1", way))
        first.start()
        form([first, second])
        assert found_by(second, 1) == {f"DHCP option {PEERS_OPTION}"}
    assert weather.counted(machines.switch, "deaf") > 0


def test_without_multicast_one_address_in_the_seeds_is_enough(machines: Lab) -> None:
    weather.forbid_multicast(machines.switch)
    root, _ = site(4)
    peer = f"{SUBNET}.1"
    agents = start(machines, [issue(root, number, 4, peers=(peer,) if number > 1 else ()) for number in range(1, 5)])
    form(agents)
    assert [found_by(agents[1], slot) for slot in (1, 3)] == [{"seed"}, {"members"}]
    assert weather.counted(machines.switch, "deaf") > 0


@pytest.mark.full
def test_a_silent_cut_while_the_pool_is_made(machines: Lab, tmp_path: Path) -> None:
    """Nobody is told: connections stay open and hang. After 40 s all is as if nothing had been."""
    made = make_site(tmp_path, slots=3)
    agents = with_disks(machines, made, 3)
    for agent in agents:
        agent.start()
    first, _, last = agents
    wait_until("the founder makes the pool", agents, lambda: "enrol" in first.journal.phases)
    weather.silence(machines.switch, last.node)
    began_s = time.monotonic()
    wait_until("it was cut off for long enough", agents, lambda: time.monotonic() - began_s > CUT_S)
    assert not is_formed(first)
    assert weather.counted(machines.switch, f"cut{last.node.number}") > 0
    weather.clear(machines.switch)
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    assert [agent.journal.founder_slot for agent in agents] == [1] * 3
    for agent in agents:
        assert len(pool(agent.node).peers) == 2
        (volume,) = volumes(agent.node)
        assert (volume.status, len(volume.bricks)) == ("Started", 3)
