"""Faults of discovery and admission between real agents: copies, moves, cuts, networks without multicast."""

from __future__ import annotations

from firstboot.cluster.claims import ClaimsDocument
from firstboot.errors import Exit
from firstboot.paths import CLAIMS
from tests.netns.agents import Agent, is_formed, says, wait_until
from tests.netns.namespaces import Lab, Node
from tests.unit.firstboot.sites import issue, site


def start(machines: Lab, name: str, seed: object) -> Agent:
    agent = Agent(machines.add_node(name), seed)  # type: ignore[arg-type]
    agent.start()
    return agent


def hosts(node: Node) -> str:
    return node.read("/etc/hosts") or ""


def founder(agent: Agent) -> int | None:
    return agent.journal.founder_slot


def votes(agent: Agent) -> dict[int, str]:
    return dict(ClaimsDocument.model_validate_json(agent.node.read(CLAIMS) or "{}").claims)


def test_two_machines_with_one_seed(machines: Lab) -> None:
    _, seeds = site(2)
    agents = [start(machines, f"machine{n}", seed) for n, seed in enumerate(seeds, 1)]
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    copy = start(machines, "machine3", seeds[1])
    wait_until("the copy waits", [copy], lambda: says(copy, "waiting", "in slot 2 (node2); this machine is node"))
    first, second = agents
    wait_until(
        "the incumbent names it",
        [second],
        lambda: bool(second.status and any("second machine" in problem for problem in second.status.problems)),
    )
    assert copy.journal.founder_slot is None
    assert f"{second.node.address}\tnode2.demo" in hosts(first.node)
    assert copy.node.address not in hosts(first.node)


def test_a_member_whose_address_changes_is_followed(machines: Lab) -> None:
    _, seeds = site(2)
    agents = [start(machines, f"machine{n}", seed) for n, seed in enumerate(seeds, 1)]
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    first, second = agents
    moved = second.node.address.rpartition(".")[0] + ".77"
    second.node.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
    second.node.run("ip", "address", "add", f"{moved}/24", "brd", "+", "dev", "eth0")
    for agent in agents:
        wait_until("its new name is known", [agent], lambda a=agent: f"{moved}\tnode2.demo" in hosts(a.node))  # type: ignore[misc]
    assert second.node.address not in hosts(first.node)
    wait_until("no problem left", agents, lambda: all(is_formed(agent) for agent in agents))


def test_a_network_without_multicast(machines: Lab) -> None:
    root, _ = site(2)
    agents = []
    for number in (1, 2):
        node = machines.add_node(f"machine{number}")
        port = f"port{node.number}"
        machines.switch.ip("link", "set", port, "type", "bridge_slave", "mcast_flood", "off", "bcast_flood", "on")
        agents.append(Agent(node, issue(root, number, 2)))
    for agent in agents:
        agent.start()
    first, second = agents
    wait_until(
        "the first misses the second", [first], lambda: says(first, "waiting", "slot 2 (node2) has not appeared")
    )
    first.stop()
    first.node.run("rm", "-r", "/var/lib/trivet")
    first.seed = issue(root, 1, 2, peers=(second.node.address,))
    first.start()
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))


def test_a_cut_network_founds_nothing_until_it_is_whole(machines: Lab) -> None:
    _, seeds = site(3)
    agents = [Agent(machines.add_node(f"machine{n}"), seed) for n, seed in enumerate(seeds, 1)]
    machines.switch.ip("link", "set", "port3", "down")
    for agent in agents:
        agent.start()
    majority, cut = agents[:2], agents[2]
    wait_until(
        "they wait", majority, lambda: all(says(a, "waiting", "slot 3 (node3) has not appeared") for a in majority)
    )
    wait_until("it waits", [cut], lambda: says(cut, "waiting", "eth0"))
    assert [founder(agent) for agent in agents] == [None, None, None]
    machines.switch.ip("link", "set", "port3", "up")
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    assert [founder(agent) for agent in agents] == [1, 1, 1]


def test_a_formed_node_starts_without_the_others(machines: Lab) -> None:
    _, seeds = site(2)
    agents = [start(machines, f"machine{n}", seed) for n, seed in enumerate(seeds, 1)]
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    first, second = agents
    first.stop()
    second.kill()
    second.start()
    wait_until("formed alone", [second], lambda: is_formed(second))
    assert f"{first.node.address}\tnode1.demo" in hosts(second.node)


def test_six_slots_split_in_two_halves_found_nothing_until_they_are_one(machines: Lab) -> None:
    _, seeds = site(6)
    agents = [Agent(machines.add_node(f"machine{n}"), seed) for n, seed in enumerate(seeds, 1)]
    machines.switch.ip("link", "add", "br1", "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
    machines.switch.ip("link", "set", "br1", "up")
    for number in (4, 5, 6):
        machines.switch.ip("link", "set", f"port{number}", "master", "br1")
    for agent in agents:
        agent.start()
    halves = {
        "slots 4 (node4), 5 (node5), 6 (node6)": agents[:3],
        "slots 1 (node1), 2 (node2), 3 (node3)": agents[3:],
    }
    for missing, half in halves.items():
        wait_until(f"they miss {missing}", agents, lambda h=half, m=missing: all(says(a, "waiting", m) for a in h))  # type: ignore[misc]
        others = [word for slot in missing.split() if slot.isdigit() for word in ("--without", slot)]
        done = half[0].node.run(*half[0].argv_of("form", *others, "--yes"), check=False)
        assert (done.returncode, "3 of 6 slots are not more than half" in done.stderr) == (Exit.REFUSED, True)
    assert [founder(agent) for agent in agents] == [None] * 6
    assert {len(votes(agent)) for agent in agents} == {3}, "the halves claimed among themselves"
    for number in (4, 5, 6):
        machines.switch.ip("link", "set", f"port{number}", "master", "br0")
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    assert [founder(agent) for agent in agents] == [1] * 6
    assert len({str(sorted(votes(agent).items())) for agent in agents}) == 1
