"""Identities that are there twice: copied, reflashed and surplus machines wait by name; no incumbent is disturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot.cluster.likeness import glusterd_uuid
from firstboot.paths import COPY, GLUSTERD_INFO, MACHINE_ID, STATE
from firstboot.seed import Seed
from tests.netns.agents import Agent, is_formed, says, wait_until
from tests.netns.looks import pool
from tests.netns.namespaces import Lab, Node, command
from tests.netns.sites import DISK_BYTES, make_seed, make_site
from tests.unit.firstboot.sites import site

TWICE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
UUID = "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0"


def start(machines: Lab, name: str, seed: Seed) -> Agent:
    agent = Agent(machines.add_node(name), seed)
    agent.start()
    return agent


def formed(machines: Lab, seeds: list[Seed]) -> list[Agent]:
    agents = [start(machines, f"machine{n}", seed) for n, seed in enumerate(seeds, 1)]
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    return agents


def prepare(machines: Lab, name: str, path: Path, text: str) -> None:
    """A file that the machine of this name has before it is started."""
    layer = {"etc": "etc", "var": "var-lib"}[path.parts[1]]
    inside = path.relative_to("/etc" if layer == "etc" else "/var/lib")
    file = machines.folder / name / layer / inside
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def copy_disk(machines: Lab, original: Node, name: str) -> Node:
    """Another machine with a copy of the original's disk."""
    target = machines.folder / name
    target.mkdir()
    for layer in ("etc", "root", "var-lib", "log"):
        command("cp", "-a", original.folder / layer, target / layer)
    return machines.add_node(name)


def problems(agent: Agent) -> str:
    return "; ".join(agent.status.problems) if agent.status else ""


def hosts(agent: Agent) -> str:
    return agent.node.read("/etc/hosts") or ""


def machine_id(agent: Agent) -> str:
    return (agent.node.read(MACHINE_ID) or "").strip()


def test_a_machine_id_that_was_copied_is_made_anew_on_one_of_them(machines: Lab) -> None:
    _, seeds = site(3)
    for name in ("machine1", "machine3"):
        prepare(machines, name, MACHINE_ID, f"{TWICE}\n")
    agents = formed(machines, seeds)
    assert machine_id(agents[0]) == TWICE, "the lower slot keeps it"
    assert len({machine_id(agent) for agent in agents}) == 3
    assert "node1 and node3 have the same machine-id" in agents[2].text
    assert "have the same" not in agents[1].text


def test_a_glusterd_uuid_that_was_copied_is_made_anew_before_there_is_a_pool(machines: Lab, tmp_path: Path) -> None:
    place = make_site(tmp_path, slots=2)
    agents = []
    for number in (1, 2):
        prepare(machines, f"machine{number}", GLUSTERD_INFO, f"UUID={UUID}\noperating-version=100000\n")
        node = machines.add_node(f"machine{number}", disks=(DISK_BYTES,))
        agents.append(Agent(node, make_seed(place, number, node.disks[0].device)))
    for agent in agents:
        agent.start()
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    first, second = (pool(agent.node) for agent in agents)
    assert first.own_uuid == UUID
    assert second.own_uuid != UUID
    assert [peer.uuid for peer in first.peers] == [second.own_uuid]
    assert glusterd_uuid(Path(f"/proc/{agents[1].node.pid}/root{GLUSTERD_INFO}")) == second.own_uuid


def test_a_copied_disk_stays_out_and_the_node_goes_on(machines: Lab) -> None:
    _, seeds = site(2)
    first, second = formed(machines, seeds)
    copy = Agent(copy_disk(machines, second.node, "machine3"), None)
    copy.start()
    out = f"runs at {second.node.address}, and was known first: this one stays out"
    wait_until("the copy stays out", [copy], lambda: says(copy, "waiting", "a copy of this machine (node2", out))
    stays = f"a copy of this machine stays out at {copy.node.address}"
    wait_until("the node names it", [second], lambda: stays in problems(second))
    assert copy.status is not None
    assert copy.status.phase == "admit"
    assert f"{second.node.address}\tnode2.demo" in hosts(first)
    # Neither a restart of the node nor one of the copy changes which is which.
    second.stop()
    copy.kill()
    copy.start()
    wait_until("it remembers", [copy], lambda: says(copy, "waiting", out))
    second.start()
    wait_until("the node is back", [second], lambda: says(second, "done", "formed") and stays in problems(second))
    assert f"{second.node.address}\tnode2.demo" in hosts(first)
    assert copy.node.address not in hosts(first)
    assert second.node.read(COPY) is None


def test_a_machine_that_was_reflashed_after_forming_waits_for_an_operator(machines: Lab) -> None:
    _, seeds = site(2)
    first, second = formed(machines, seeds)
    before = second.journal.node_id
    second.stop()
    second.node.run("rm", "-r", STATE)
    second.start()
    founded = f"the cluster was founded with node {(before or '')[:12]} in slot 2 (node2)"
    wait_until("it waits", [second], lambda: says(second, "waiting", founded))
    assert second.status is not None
    assert "an operator has to release" in second.status.hint
    wait_until("it is named", [first], lambda: "a second machine has the seed of slot 2" in problems(first))
    assert second.journal.founder_slot is None
    assert first.journal.members[2].node_id == before


def test_seven_machines_for_three_slots(machines: Lab) -> None:
    _, seeds = site(3)
    agents = formed(machines, seeds)
    surplus = [start(machines, f"machine{n}", seeds[slot - 1]) for n, slot in enumerate((1, 2, 3, 2), 4)]
    for agent, slot in zip(surplus, (1, 2, 3, 2), strict=True):
        words = ("the cluster was founded with node", f"in slot {slot} (node{slot}); this machine is node")
        wait_until("it waits by name", [agent], lambda a=agent, w=words: says(a, "waiting", *w))  # type: ignore[misc]
    for agent, slot in zip(agents, (1, 2, 3), strict=True):
        named = f"a second machine has the seed of slot {slot}"
        wait_until("it is named", [agent], lambda a=agent, n=named: n in problems(a))  # type: ignore[misc]
    assert [agent.journal.founder_slot for agent in (*agents, *surplus)] == [1] * 3 + [None] * 4
    stranger = {agent.node.address for agent in surplus}
    assert not [address for agent in agents for address in stranger if address in hosts(agent)]


@pytest.mark.full
def test_seven_machines_for_three_slots_at_once(machines: Lab) -> None:
    """Votes may differ for good while machines are doubled; once the surplus is off, the site forms."""
    _, seeds = site(3)
    slots = (1, 2, 3, 1, 2, 3, 2)
    agents = [Agent(machines.add_node(f"machine{n}"), seeds[slot - 1]) for n, slot in enumerate(slots, 1)]
    for agent in agents:
        agent.start()
    for agent in agents:
        wait_until("it has come to admission", agents, lambda a=agent: "discover" in a.journal.phases)  # type: ignore[misc]
    for agent in agents[3:]:
        agent.node.power_off()
        agent.forget()
    wait_until("formed", agents[:3], lambda: all(is_formed(agent) for agent in agents[:3]), stall_s=600)
    assert {agent.journal.founder_slot for agent in agents[:3]} == {1}


@pytest.mark.full
def test_a_machine_that_was_reflashed_before_forming_gets_its_slot_back(machines: Lab) -> None:
    _, seeds = site(3)
    agents = [Agent(machines.add_node(f"machine{n}"), seed) for n, seed in enumerate(seeds, 1)]
    first, second, third = agents
    first.start()
    second.start()
    wait_until("they know each other", agents[:2], lambda: all(says(a, "waiting", "slot 3") for a in agents[:2]))
    former = second.journal.node_id
    second.stop()
    second.node.run("rm", "-r", STATE)
    second.start()
    third.start()
    wait_until("its slot is held", [second], lambda: says(second, "waiting", "slot 2 (node2) is held by node"))
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents), stall_s=600)
    assert second.journal.node_id != former
    assert first.journal.members[2].node_id == second.journal.node_id
