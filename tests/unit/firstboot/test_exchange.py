"""Formation in one process: real services, visits, votes and decisions on loopback; rounds are driven by hand."""

from __future__ import annotations

import itertools
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from firstboot.cluster.answers import Answers
from firstboot.cluster.claims import Ballot
from firstboot.cluster.client import Claimant
from firstboot.cluster.events import Endpoint, Follow, Found, Identity, WaitFor
from firstboot.cluster.exchange import Exchange
from firstboot.cluster.hints import Hints
from firstboot.cluster.roster import Roster
from firstboot.cluster.server import AdmissionServer, Answer
from firstboot.cluster.tls import client_context, server_context
from firstboot.cluster.trust import SlotRole
from firstboot.cluster.twins import Twins
from firstboot.cluster.views import View
from firstboot.nodekey import NodeKey
from firstboot.reporter import utc_now
from firstboot.seed import Seed
from firstboot.status import NodeStatus, PhaseState
from tests.unit.firstboot.sites import credentials, issue, site

HOME = "127.0.0.1"
SLOTS = frozenset({1, 2, 3})
NAMES = {1: "node1", 2: "node2", 3: "node3"}


def refuse(_: SlotRole) -> Answer:
    return Answer(409, {})


class Node:
    """One node without its agent: what a crash keeps is in the folder."""

    def __init__(self, folder: Path, seed: Seed) -> None:
        folder.mkdir(exist_ok=True)
        self.seed = seed
        self.key = NodeKey.load_or_make(folder / "node.key")
        self.run = secrets.token_hex(16)
        self.ballot = Ballot(
            folder / "claims.json",
            Identity(seed.slot.number, self.key.node_id, seed.slot.seed_id, NAMES, self.run),
            site_id=seed.site.id,
            clock=itertools.count(0.0, 1.0).__next__,  # a second passes at each event
        )
        status = NodeStatus(phase="admit", state=PhaseState.RUNNING, reason="test", since=utc_now())
        self.server = AdmissionServer(
            server_context(credentials(seed, self.key)),
            site_id=seed.site.id,
            port=0,
            host="127.0.0.1",
            answer=Answers(
                self.ballot,
                view=self.view,
                status=lambda: status,
                met=lambda *_: None,
                enrol=refuse,
                ssh_folder=folder,
            ),
        )
        self.server.serve(poll_s=0.02)
        self.twins = Twins(
            self.ballot.identity,
            {},
            own_address=lambda: "127.0.0.1",
            monotonic=lambda: 0.0,
            path=folder / "copy.json",
        )
        self.exchange: Exchange | None = None
        self.peers: list[Endpoint] = []

    def view(self, asked_by: str | None = None) -> View:
        return View(
            node_id=self.key.node_id,
            slot=self.seed.slot.number,
            seed_id=self.seed.slot.seed_id,
            phase="admit",
            claims=dict(self.ballot.votes.claims),
            releases=dict(self.ballot.votes.releases),
            attempt=self.ballot.votes.attempt,
            ready=self.ballot.votes.ready,
            founder=self.ballot.votes.founder,
            run=self.run,
            address="127.0.0.1",
        )

    def meet(self, others: list[Node]) -> None:
        """One round of visits to these nodes, as hints from the network would send it."""
        hints = Hints(SLOTS, lambda: 0.0, random.Random(1))
        for other in others:
            hints.add(other.seed.slot.number, [Endpoint(HOME, other.server.port)])
        self.exchange = Exchange(
            self.ballot,
            hints=hints,
            peers=lambda: self.peers,
            port=1,
            context=client_context(credentials(self.seed, self.key)),
            site_id=self.seed.site.id,
            claimant=Claimant(self.seed.slot.number, self.key.node_id),
            updated=lambda: None,
            hear=lambda *_: None,
            twins=self.twins,
        )
        self.exchange.round()

    @property
    def roster(self) -> Roster:
        return self.ballot.roster

    def reason(self) -> str:
        answer = self.ballot.obstacle()
        return answer.reason if answer else ""

    def decision(self) -> WaitFor | Found | Follow:
        return self.ballot.standing()


@dataclass
class Yard:
    """Starts nodes, and ends them with the test."""

    folder: Path
    nodes: list[Node] = field(default_factory=list)

    def start(self, seed: Seed, name: str) -> Node:
        node = Node(self.folder / name, seed)
        self.nodes.append(node)
        return node

    def power_off(self, node: Node) -> None:
        node.server.close()
        self.nodes.remove(node)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    yield yard
    for node in list(yard.nodes):
        yard.power_off(node)


@pytest.fixture
def three(yard: Yard) -> list[Node]:
    return [yard.start(seed, f"node{seed.slot.number}") for seed in site()[1]]


def rounds(nodes: list[Node], count: int = 4) -> None:
    for _ in range(count):
        for node in nodes:
            node.meet([other for other in nodes if other is not node])


def test_three_nodes_agree(three: list[Node]) -> None:
    rounds(three)
    assert [node.reason() for node in three] == ["", "", ""]
    assert [node.decision() for node in three] == [Found(1), Follow(1), Follow(1)]


def test_nobody_decides_before_all_are_there(three: list[Node]) -> None:
    rounds(three[:2])
    assert all(isinstance(node.decision(), WaitFor) for node in three[:2])
    assert three[0].reason() == "slot 3 (node3) has not appeared"


def test_a_crash_keeps_the_votes(three: list[Node], yard: Yard) -> None:
    rounds(three[:2])
    votes = three[0].ballot.claims
    yard.power_off(three[0])
    reborn = yard.start(three[0].seed, "node1")
    assert reborn.key.node_id == three[0].key.node_id
    assert reborn.ballot.claims == votes
    rounds([reborn, *three[1:]])
    assert reborn.decision() == Found(1)


def test_a_wiped_machine_is_a_second_claimant(three: list[Node], yard: Yard) -> None:
    rounds(three)
    yard.power_off(three[2])
    wiped = yard.start(three[2].seed, "node3-wiped")
    wiped.meet(three[:2])
    assert "founded with node" in wiped.reason()
    assert f"in slot 3 (node3); this machine is node {wiped.key.node_id[:12]}" in wiped.reason()
    assert isinstance(wiped.decision(), WaitFor)


def test_two_machines_with_one_seed_never_both_found(yard: Yard) -> None:
    root, seeds = site()
    first, second = yard.start(seeds[0], "first"), yard.start(seeds[0], "second")
    others = [yard.start(seed, f"node{seed.slot.number}") for seed in seeds[1:]]
    for left, right in ((first, others[0]), (second, others[1])):
        left.meet([right])
        right.meet([left])
    everybody = [first, second, *others]
    rounds(everybody, 3)
    assert not any(isinstance(node.decision(), Found) for node in everybody)
    assert any("held by node" in node.reason() for node in (first, second))
    assert issue(root, 1).slot.seed_id != seeds[0].slot.seed_id


def test_a_surplus_machine_waits_and_the_incumbent_sees_it(three: list[Node], yard: Yard) -> None:
    rounds(three)
    surplus = yard.start(three[1].seed, "surplus")
    rounds([*three, surplus])
    assert "in slot 2 (node2); this machine is node" in surplus.reason()
    assert surplus.key.node_id in three[1].roster.rivals
    assert three[0].decision() == Found(1)


def test_another_site_on_the_same_network_is_nobody(three: list[Node], yard: Yard) -> None:
    stranger = yard.start(site()[1][2], "stranger")
    three[0].meet([three[1], stranger])
    assert "no certificate of this site" in three[0].reason()
    assert three[0].ballot.claims.keys() == {1}


def test_an_unreachable_member_is_named_with_its_cause(three: list[Node], yard: Yard) -> None:
    yard.power_off(three[2])
    three[0].meet(three[1:])
    assert f"127.0.0.1 port {three[2].server.port}: connection refused" in three[0].reason()


def test_peers_of_the_seed_are_found_without_hints(three: list[Node]) -> None:
    start: Callable[[list[Node]], None] = three[0].meet
    start([])
    exchange = three[0].exchange
    assert exchange is not None
    three[0].peers = [Endpoint("127.0.0.1", node.server.port) for node in three[1:]]
    exchange.round()
    assert set(three[0].roster.contacts) == {2, 3}


def test_who_visited_is_visited_back(three: list[Node]) -> None:
    first, second, _ = three
    first.meet([])
    exchange = first.exchange
    assert exchange is not None
    exchange._port = second.server.port
    exchange.met(2, "127.0.0.1")
    exchange.round()
    assert set(first.roster.contacts) == {2}


def test_who_visited_is_visited_back_though_the_plan_is_older_than_its_slot(three: list[Node]) -> None:
    first, second, _ = three
    core = first.ballot._core
    core.identity = replace(core.identity, names={1: "node1", 3: "node3"})
    first.meet([])
    exchange = first.exchange
    assert exchange is not None
    exchange._port = second.server.port
    exchange.round()
    assert not first.roster.contacts
    exchange.met(2, "127.0.0.1")
    exchange.round()
    assert set(first.roster.contacts) == {2}
