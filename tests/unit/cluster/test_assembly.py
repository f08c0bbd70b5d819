"""The register between nodes over real mutual TLS on loopback: who may ask, who learns, who is admitted."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from firstboot.cluster import authority as authorities
from firstboot.cluster.answers import Answers
from firstboot.cluster.assembly import Assembly
from firstboot.cluster.authority import Authority
from firstboot.cluster.bids import Bid, Prepare
from firstboot.cluster.changes import ReleaseSlot, RemoveNode, RotateAuthority
from firstboot.cluster.claims import Ballot
from firstboot.cluster.client import Claimant, visit
from firstboot.cluster.council import NotMadeError
from firstboot.cluster.events import Endpoint, Follow, Found, Identity, Outside, Target
from firstboot.cluster.members import Members
from firstboot.cluster.presence import Patience
from firstboot.cluster.questions import question_document
from firstboot.cluster.server import AdmissionServer, Answer
from firstboot.cluster.session import UnreachableError, open_session
from firstboot.cluster.tls import Credentials, client_context, server_context
from firstboot.cluster.trust import MemberRole
from firstboot.cluster.views import View
from firstboot.nodekey import NodeKey
from firstboot.reporter import utc_now
from firstboot.seed import Seed
from firstboot.status import NodeStatus, PhaseState
from tests.unit.firstboot.sites import credentials, issue, site

NAMES = {1: "node1", 2: "node2", 3: "node3"}
A, B = "a" * 32, "b" * 32


class Node:
    """One node without its agent, at a loopback address of its own."""

    def __init__(self, yard: Yard, seed: Seed, address: str) -> None:
        self.yard, self.seed, self.address = yard, seed, address
        folder = yard.folder / address
        folder.mkdir()
        self.key = NodeKey.load_or_make(folder / "node.key")
        self.claim = credentials(seed, self.key)
        self.member: Credentials | None = None
        self.occupied = ""
        identity = Identity(seed.slot.number, self.key.node_id, seed.slot.seed_id, NAMES, run="7" * 32)
        patience = Patience(release_after_s=0, grace_s=0)
        self.ballot = Ballot(
            folder / "claims.json", identity, site_id=seed.site.id, clock=lambda: yard.now_s, patience=patience
        )
        self.assembly = Assembly(
            self.ballot,
            site_id=seed.site.id,
            names=NAMES,
            credentials=lambda: (self.claim, self.member),
            clock=lambda: time.monotonic() + yard.now_s,
            port=yard.port,
            path=folder / "register.json",
            authority=lambda: "9" * 32 if self.member else None,
            vacated=lambda _: self.occupied,
        )
        status = NodeStatus(phase="admit", state=PhaseState.RUNNING, reason="test", since=utc_now())
        self.server = AdmissionServer(
            server_context(self.claim),
            site_id=seed.site.id,
            port=yard.port,
            host=address,
            answer=Answers(
                self.ballot,
                view=self.view,
                status=lambda: status,
                met=lambda *_: None,
                enrol=lambda _: Answer(409, {}),
                members=self.assembly.answer,
                removed=lambda node_id: bool(self.assembly.members) and node_id in self.members.removed,
                ssh_folder=folder,
            ),
        )
        self.server.serve(poll_s=0.02)

    @property
    def members(self) -> Members:
        assert self.assembly.members is not None
        return self.assembly.members

    def view(self, _: str | None = None) -> View:
        votes, members = self.ballot.votes, self.assembly.members
        return View(
            node_id=self.key.node_id,
            slot=self.seed.slot.number,
            seed_id=self.seed.slot.seed_id,
            phase="admit",
            claims=votes.claims,
            releases=votes.releases,
            attempt=votes.attempt,
            ready=votes.ready,
            founder=votes.founder,
            run="7" * 32,
            address=self.address,
            epoch=members.epoch if members else None,
            authority="9" * 32 if self.member else None,
        )

    def round(self) -> None:
        """Visit everybody who is on, and do what follows."""
        for other in self.yard.nodes:
            if other is not self:
                claimant = Claimant(self.seed.slot.number, self.key.node_id)
                endpoint = Endpoint(other.address, self.yard.port)
                made = visit(endpoint, client_context(self.claim), site_id=self.seed.site.id, claimant=claimant)
                self.ballot.visited(made, Target(other.seed.slot.number, endpoint))
        self.assembly.follow()

    def enrol(self, authority: Authority) -> None:
        """Give it a member's certificate."""
        site_id = self.seed.site.id
        names = [MemberRole(site_id, self.key.node_id).dns_name]
        issued = authorities.issue_member(authority, site_id, self.key.key.public_key(), names[1:], utc_now())
        chain = issued.public_bytes(authorities.Encoding.PEM).decode()
        self.member = Credentials(chain, self.key.pem, authority.trusted_pem)
        self.server.members = server_context(self.member)

    def post(self, to: Node, path: str, body: object, *, as_member: bool = False) -> tuple[int, dict[str, object]]:
        shown = self.member if as_member and self.member else self.claim
        name = f"members.{self.seed.site.id}.trivet.internal" if as_member else None
        endpoint = Endpoint(to.address, self.yard.port)
        with open_session(endpoint, client_context(shown), site_id=self.seed.site.id, server_name=name) as session:
            reply = session.ask("POST", path, json.dumps(body))
            return reply.code, json.loads(reply.raw)

    def close(self) -> None:
        self.server.close()
        self.assembly.close()


@dataclass
class Yard:
    """Starts nodes at 127.0.0.11 and after, all on one port; ends them with the test."""

    folder: Path
    port: int
    nodes: list[Node] = field(default_factory=list)
    now_s: float = 0.0
    started: int = 0

    def start(self, seed: Seed) -> Node:
        self.started += 1
        self.nodes.append(Node(self, seed, f"127.0.0.{10 + self.started}"))
        return self.nodes[-1]

    def power_off(self, node: Node) -> None:
        node.close()
        self.nodes.remove(node)

    def rounds(self, count: int) -> None:
        for _ in range(count):
            for node in list(self.nodes):
                node.round()


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.11", 0))
        port = probe.getsockname()[1]
    yard = Yard(tmp_path, port)
    yield yard
    for node in list(yard.nodes):
        yard.power_off(node)


def founded(yard: Yard) -> tuple[Node, Node, Node]:
    nodes = tuple(yard.start(seed) for seed in site()[1])
    yard.rounds(4)
    assert [node.ballot.standing() for node in nodes] == [Found(1), Follow(1), Follow(1)]
    first, second, third = nodes
    return first, second, third


def test_the_first_epoch_is_the_same_on_all(yard: Yard) -> None:
    first, second, third = founded(yard)
    assert first.members == second.members == third.members
    assert first.members.nodes == {node.key.node_id: node.seed.slot.number for node in (first, second, third)}
    assert first.members.slots[3].seed_id == third.seed.slot.seed_id


def test_a_change_on_any_member_and_who_was_off_learns(yard: Yard) -> None:
    first, second, third = founded(yard)
    first.server.close()
    made = second.assembly.council.make(RotateAuthority(A, ""))
    assert made.authorities == (A,)
    assert third.assembly.council.make(None) == third.members == made
    assert first.members.epoch == 1
    yard.nodes.remove(first)
    first.round()
    assert first.members == made
    first.assembly.close()


def test_alone_nothing_is_changed(yard: Yard) -> None:
    first, second, third = founded(yard)
    for gone in (second, third):
        yard.power_off(gone)

    def pass_time(_: str) -> None:
        yard.now_s += 100

    with pytest.raises(NotMadeError, match=r"1 of 3 members answered, more than half are needed"):
        first.assembly.council.make(RotateAuthority(A, ""), pass_time)


def without_third(yard: Yard) -> tuple[list[Seed], Node, Node]:
    _, seeds = site()
    first, second = yard.start(seeds[0]), yard.start(seeds[1])
    yard.rounds(2)
    yard.now_s += 1
    second.ballot.leave_out([3])
    yard.rounds(4)
    assert [node.ballot.standing() for node in (first, second)] == [Found(1), Follow(1)]
    return seeds, first, second


def test_a_machine_that_comes_later_is_admitted(yard: Yard) -> None:
    seeds, first, second = without_third(yard)
    assert first.members.slots[3].open
    third = yard.start(seeds[2])
    third.round()
    standing = third.ballot.standing()
    assert isinstance(standing, Outside)
    assert "the cluster was founded without slot 3 (node3)" in standing.reason
    for _ in range(20):
        if third.assembly.is_member:
            break
        first.assembly.council.make(None)  # until what the first member began for it has ended
        yard.rounds(1)
    assert third.assembly.is_member
    assert third.members.nodes[third.key.node_id] == 3
    yard.rounds(1)
    assert first.members == second.members == third.members


def test_a_second_machine_with_a_members_seed_is_told_why_not(yard: Yard) -> None:
    first, _, third = founded(yard)
    yard.power_off(third)
    thief = yard.start(third.seed)
    thief.round()
    thief.round()
    assert thief.assembly.refusal.startswith(f"slot 3 is held by node {third.key.node_id[:12]}")
    code, said = thief.post(first, "/v1/admit", {})
    assert (code, said["why"]) == (409, "slot-held")


def test_a_released_slot_takes_a_new_seed_alone(yard: Yard) -> None:
    root, seeds = site()
    first, second, third = (yard.start(seed) for seed in seeds)
    yard.rounds(4)
    yard.power_off(third)
    fresh = issue(root, 3)
    first.assembly.council.make(ReleaseSlot(3, third.key.node_id, fresh.slot.seed_id))
    old = yard.start(seeds[2])
    assert old.post(first, "/v1/admit", {})[1]["why"] == "seed-used"
    yard.power_off(old)
    new = yard.start(fresh)
    new.round()
    for _ in range(20):
        if new.assembly.is_member:
            break
        first.assembly.council.make(None)
        yard.rounds(1)
    assert new.assembly.is_member
    assert second.members.removed[third.key.node_id].slot == 3


def test_only_members_ask_a_member(yard: Yard) -> None:
    first, second, third = founded(yard)
    stranger = yard.start(third.seed)
    forged = Prepare(first.members, Bid(99, stranger.key.node_id))
    body = question_document(forged).model_dump(mode="json", exclude_none=True)
    assert stranger.post(first, "/v1/register", body)[0] == 403
    first.assembly.council.make(RemoveNode(third.key.node_id))
    later = Prepare(first.members, Bid(99, third.key.node_id))
    body = question_document(later).model_dump(mode="json", exclude_none=True)
    assert third.post(first, "/v1/register", body)[0] == 403
    assert second.post(first, "/v1/register", {"format": "trivet-question"})[0] == 400


def test_members_ask_each_other_with_their_own_certificates(yard: Yard) -> None:
    first, second, third = founded(yard)
    authority = authorities.create("demo")
    for node in (first, second, third):
        node.enrol(authority)
    yard.rounds(1)
    for node in (first, second, third):
        node.claim = credentials(site()[1][0])  # of another site: nothing of the site's is of use from here
    assert second.assembly.council.make(RotateAuthority(B, "")).epoch == 2
    assert third.assembly.council.make(None).epoch == 2
    with pytest.raises(UnreachableError, match="no certificate of this site|TLS failed"):
        second.post(first, "/v1/register", {})


def test_a_slot_is_given_to_nobody_while_its_former_node_is_in_the_pool(yard: Yard) -> None:
    root, seeds = site()
    first, _, third = (yard.start(seed) for seed in seeds)
    yard.rounds(4)
    yard.power_off(third)
    first.assembly.council.make(ReleaseSlot(3, third.key.node_id))
    first.occupied = "the node that held slot 3 is still in the pool"
    new = yard.start(issue(root, 3))
    assert new.post(first, "/v1/admit", {}) == (202, {"why": first.occupied})
    first.occupied = ""
    assert new.post(first, "/v1/admit", {})[1]["why"] != first.occupied


def test_while_the_authority_is_replaced_only_the_document_vouches(yard: Yard) -> None:
    first, second, third = founded(yard)
    authority = authorities.create("demo")
    for node in (first, second):
        node.enrol(authority)
    forged = yard.start(third.seed)
    forged.enrol(authority)
    question = question_document(Prepare(first.members, Bid(99, forged.key.node_id)))
    body = question.model_dump(mode="json", exclude_none=True)
    assert forged.post(first, "/v1/register", body, as_member=True)[0] == 200, "it may be a member by now"
    first.assembly.council.make(RemoveNode(third.key.node_id))
    assert forged.post(first, "/v1/register", body, as_member=True)[0] == 403, "who was removed may have made it one"
    assert second.assembly.council.make(None).in_transition


def test_who_was_removed_learns_it(yard: Yard) -> None:
    first, _, third = founded(yard)
    first.assembly.council.make(RemoveNode(third.key.node_id))
    assert third.assembly.removal == ""
    yard.rounds(2)
    assert third.assembly.removal == "this node was removed from the cluster in epoch 2: turn it off"
    assert third.key.node_id not in {view.node_id for view in first.assembly.answering().values()}
    endpoint, shown = Endpoint(first.address, yard.port), client_context(third.claim)
    with open_session(endpoint, shown, site_id=third.seed.site.id) as session:
        asked = [f"/v1/{what}" for what in ("view", "members", "status", "ssh-host-keys")]
        assert [session.ask("GET", path).code for path in asked] == [200, 200, 403, 403]
