"""Machines that are no members try to get in at a formed site: refused each time, and the node says so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstboot.paths import TRUSTED
from firstboot.seed import Seed, encode
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.namespaces import Lab, Node, die_with_parent, lab
from tests.unit.firstboot.sites import issue, site

SCRIPT = Path(__file__).with_name("stranger.py")
SEED = "/srv/stolen.json"


class Scene:
    """Two formed nodes of mode virt, and a third machine with nothing of its own."""

    def __init__(self, machines: Lab) -> None:
        self.root, self.seeds = site(2)
        self.agents = [Agent(machines.add_node(f"machine{n}"), seed) for n, seed in enumerate(self.seeds, 1)]
        for agent in self.agents:
            agent.start()
        wait_until("formed", self.agents, lambda: all(is_formed(agent) for agent in self.agents))
        self.stranger = machines.add_node("stranger")

    @property
    def target(self) -> Agent:
        return self.agents[0]

    def tries(self, kind: str, seed: Seed) -> dict[str, object]:
        self.stranger.write(SEED, encode(seed))
        done = self.stranger.run(sys.executable, SCRIPT, kind, SEED, self.target.node.address)
        said = json.loads(done.stdout)
        assert isinstance(said, dict)
        return said

    def logged(self, words: str) -> bool:
        return words in self.target.logs[-1].read_text()


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with lab() as machines:
        yield Scene(machines)


@pytest.mark.parametrize(
    ("kind", "logged"),
    [
        ("own_authority", "unable to get local issuer certificate"),
        ("another_slot", "permitted subtree violation"),
        ("operator", "permitted subtree violation"),
        ("member", "unable to get local issuer certificate"),
        ("bare_slot", "unsuitable certificate purpose"),
    ],
)
def test_forged_proofs_learn_nothing(scene: Scene, kind: str, logged: str) -> None:
    said = scene.tries(kind, scene.seeds[1])
    assert len(said) == 3
    assert all(isinstance(answer, str) for answer in said.values()), said
    line = f"refused a connection from {scene.stranger.address}: "
    wait_until("the node logs it", [scene.target], lambda: scene.logged(line) and scene.logged(logged))


def test_a_seed_of_another_site_learns_nothing(scene: Scene) -> None:
    other, _ = site(2)
    said = scene.tries("honest", issue(other, 2, 2))
    assert all(isinstance(answer, str) for answer in said.values()), said


@pytest.mark.parametrize("stolen", ["the used seed itself", "another issue of the slot"])
def test_a_stolen_seed_of_a_claimed_slot_becomes_nobody(scene: Scene, stolen: str) -> None:
    seed = scene.seeds[1] if stolen == "the used seed itself" else issue(scene.root, 2, 2)
    said = scene.tries("honest", seed)
    assert said == {"/v1/view": 200, "/v1/claim": 409, "/v1/enrol": 403}
    assert scene.logged("slot 2, node ")
    assert scene.logged("asks for the cluster authority, but is no member")


def test_who_pretends_to_be_a_member_is_not_believed(scene: Scene) -> None:
    """With a stolen seed of slot 2 it serves under node 2's id, and announces itself by visiting."""
    node2 = scene.agents[1].status
    assert node2 is not None
    scene.stranger.write(SEED, encode(scene.seeds[1]))
    argv = scene.stranger.argv(sys.executable, SCRIPT, "pretend", SEED, str(node2.node_id))
    pretender = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True, preexec_fn=die_with_parent)
    try:
        assert pretender.stdout is not None
        assert pretender.stdout.readline() == b"serving\n"
        scene.agents[1].stop()
        scene.tries("honest", scene.seeds[1])  # a claimant's address is visited back while its slot is missing
        told = f"{scene.stranger.address} port 7463: it shows the view of slot 2, node {str(node2.node_id)[:12]}"
        wait_until("the node sees through it", [scene.target], lambda: scene.logged(told))
    finally:
        pretender.kill()
        pretender.wait(timeout=60)
        pretender.stdout.close()
    scene.agents[1].start()
    hosts = scene.target.node.read("/etc/hosts") or ""
    assert f"{scene.agents[1].node.address}\tnode2.demo" in hosts
    assert scene.stranger.address not in hosts
    wait_until("still formed", scene.agents, lambda: all(is_formed(agent) for agent in scene.agents))


def test_the_members_share_an_authority_that_nobody_else_has(scene: Scene) -> None:
    held = {agent.node.read(TRUSTED) for agent in scene.agents}
    assert len(held) == 1
    assert None not in held
    secrets = [key_lines(agent.node) for agent in scene.agents]
    for agent in scene.agents:
        text = agent.logs[-1].read_text()
        assert not [line for lines in secrets for line in lines if line in text]


def key_lines(node: Node) -> list[str]:
    """The lines of the node's secrets."""
    files = ("/var/lib/trivet/authority/authority.pem", "/var/lib/trivet/node.key")
    text = "".join(node.read(path) or "" for path in files)
    lines = [line for line in text.splitlines() if len(line) > 40]
    assert lines
    return lines
