"""Clocks that are wrong: sites form all the same, the wrong ones are set; chrony then keeps them together."""

from __future__ import annotations

import json

from firstboot.chrony import LOCAL, parse_tracking
from firstboot.paths import BUILD_STAMP, CHRONY_MEMBERS, NODE_CERTIFICATE
from tests.netns.agents import Agent, is_formed, says, wait_until
from tests.netns.clocks import STUCK, FakeClock, ahead_s, at, settings
from tests.netns.namespaces import Lab, Node
from tests.unit.firstboot.sites import site

DAY_S = 86_400.0
BUILT_S = 1_790_000_000.0
"""When the image was built that these nodes are taken to run."""
CLOSE_S = 10.0
"""HTTP dates have full seconds, and both ends are busy machines."""


def give_build_time(node: Node) -> None:
    """As the image has it: /usr/lib is the machine's own, so that a layer is put over it."""
    node.run("mkdir", "/srv/upper", "/srv/work")
    layers = "lowerdir=/usr/lib,upperdir=/srv/upper,workdir=/srv/work"
    node.run("mount", "-t", "overlay", "overlay", "-o", layers, "/usr/lib")
    node.write(BUILD_STAMP, json.dumps({"version": "test", "epoch": BUILT_S}).encode())


def chronyc(node: Node, *words: str) -> list[list[str]]:
    done = node.run("chronyc", "-n", "-c", *words, check=False)
    return [line.split(",") for line in done.stdout.splitlines()]


def reached(node: Node) -> set[str]:
    """The addresses that answered chronyd there: the octal register of its last eight questions is not 0."""
    return {row[2] for row in chronyc(node, "sources") if int(row[5], 8)}


def have_one_time(nodes: list[Node]) -> bool:
    followed = {node.address: follows(node) for node in nodes}
    leaders = [address for address, source in followed.items() if source == LOCAL]
    return len(leaders) == 1 and set(followed.values()) == {LOCAL, *leaders}


def follows(node: Node) -> str:
    """The reference id and address that chronyd follows there, none without one."""
    done = node.run("chronyc", "-n", "-c", "tracking", check=False)
    found = parse_tracking(done.stdout) if done.returncode == 0 else None
    return (LOCAL if found.is_local else found.source) if found is not None and found.synchronised else ""


def test_one_node_a_day_ahead_sets_its_clock_and_chrony_keeps_all_together(machines: Lab) -> None:
    _, seeds = site(3)
    clocks = (None, None, FakeClock(DAY_S))
    nodes = [machines.add_node(f"machine{n}") for n in (1, 2, 3)]
    agents = [Agent(node, seed, clock) for node, seed, clock in zip(nodes, seeds, clocks, strict=True)]
    for agent in agents:
        agent.start()
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    assert "setting the clock 1 d back, to the time of the members" in agents[2].text
    assert abs(ahead_s(nodes[2])) < CLOSE_S
    assert [len(settings(node)) for node in nodes] == [0, 0, 1], "the odd one out, and once"
    for agent in agents:
        assert agent.node.read(NODE_CERTIFICATE)
        assert (agent.node.read(CHRONY_MEMBERS / "members.conf") or "").count("allow ") == 2
    wait_until("one of them has the time, and the others follow it", agents, lambda: have_one_time(nodes))
    for node in nodes:
        others = {other.address for other in nodes if other is not node}
        wait_until("every other answers", agents, lambda n=node, o=others: reached(n) == o)  # type: ignore[misc]
        assert {(row[0], row[1]) for row in chronyc(node, "authdata")} == {(other, "SK") for other in others}


def test_all_nodes_in_1970_form_at_the_images_time(machines: Lab) -> None:
    _, seeds = site(3)
    agents = []
    for number, seed in enumerate(seeds, 1):
        node = machines.add_node(f"machine{number}")
        give_build_time(node)
        agents.append(Agent(node, seed, at(60.0 * number)))
    for agent in agents:
        agent.start()
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    for agent in agents:
        first, *_ = settings(agent.node)
        assert first == BUILT_S
        assert all(each >= BUILT_S for each in settings(agent.node))
    apart = [ahead_s(agent.node) for agent in agents]
    assert max(apart) - min(apart) < CLOSE_S


def test_a_clock_that_can_not_be_set_is_named_on_both_sides_and_nothing_is_issued(machines: Lab) -> None:
    _, seeds = site(2)
    first = Agent(machines.add_node("machine1"), seeds[0], FakeClock(-DAY_S))
    second = Agent(machines.add_node("machine2"), seeds[1])
    first.node.write(STUCK, b"")
    for agent in (first, second):
        agent.start()
    agents = [first, second]
    words = ("the clock of node1 is", "behind that of node2")
    wait_until("the other says whose clock it is", agents, lambda: says(second, "waiting", *words))
    wait_until("so does itself", agents, lambda: says(first, "waiting", *words, "setting it failed"))
    assert [agent.node.read(NODE_CERTIFICATE) for agent in agents] == [None, None]
    assert settings(first.node), "it tried"
    first.node.run("rm", STUCK)
    wait_until("formed once it can be set", agents, lambda: all(is_formed(agent) for agent in agents))
    assert abs(ahead_s(first.node)) < CLOSE_S
