"""The pool phase: whom it probes, whom it waits for, whom it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from firstboot.context import Context
from firstboot.errors import RefusedError, TrivetError
from firstboot.gluster import client
from firstboot.gluster import pool as room
from firstboot.gluster.client import GlusterError, Peer, Pool, VolumeInfo, parse_pool, parse_volumes
from firstboot.gluster.closing import Closing
from firstboot.gluster.handshake import Handshake
from firstboot.phases import Done, Outcome, Wait
from tests.unit.firstboot.gluster.formed import answer, context, members


class FakeGlusterd:
    """Knows peers by what was probed; `deaf` hosts can't be reached, and `answer` is what a handshake shows."""

    def __init__(self, peers: tuple[Peer, ...] = ()) -> None:
        self.peers = peers
        self.probed: list[str] = []
        self.deaf: set[str] = set()
        self.refuses = False
        self.answer = Handshake(f"{3:032x}")
        self.steps: list[str] = []
        self.closing_trouble: TrivetError | None = None
        self.volumes: tuple[VolumeInfo, ...] = ()
        self.half_met: set[str] = set()
        self.now_s = 0.0

    def pool(self) -> Pool:
        if self.half_met:  # as glusterd, which can't list a peer without an id
            raise GlusterError("reading the pool", "refused without a reason")
        return Pool("me", self.peers)

    def probe(self, host: str) -> None:
        if host in self.deaf:
            raise GlusterError("probing", "Probe returned with Transport endpoint is not connected", errno=107)
        if self.refuses:
            said = f"{host} is either already part of another cluster or having volumes configured"
            raise GlusterError("probing", said, errno=3)
        self.probed.append(host)
        self.peers = (*self.peers, Peer(host, (host,), True, "Peer in Cluster"))

    def close(self) -> None:
        self.steps.append("closed")
        if self.closing_trouble is not None:
            raise self.closing_trouble


@pytest.fixture
def glusterd(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGlusterd]:
    fake = FakeGlusterd()
    monkeypatch.setattr(client, "pool", fake.pool)
    monkeypatch.setattr(client, "probe", fake.probe)
    monkeypatch.setattr(client, "volumes", lambda: fake.volumes)
    monkeypatch.setattr(Closing, "close", lambda self, context: fake.close())
    monkeypatch.setattr(room.daemon, "start", lambda: fake.steps.append("start"))
    monkeypatch.setattr(room.daemon, "restart", lambda: fake.steps.append("restart"))
    monkeypatch.setattr(room.store, "half_met", lambda: frozenset(fake.half_met))
    monkeypatch.setattr(room, "_cut_off", room.daemon.Lasting(room.store.CUT_OFF_S))
    monkeypatch.setattr(room.time, "monotonic", lambda: fake.now_s)
    monkeypatch.setattr(room.handshake, "attempt", lambda address: fake.answer)
    yield fake


def three() -> tuple[Peer, ...]:
    return parse_pool(answer("pool-list")).peers


def waited(outcome: Outcome) -> str:
    assert isinstance(outcome, Wait)
    return outcome.reason


def test_the_founder_takes_in_every_member(glusterd: FakeGlusterd) -> None:
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.probed == ["node2.lab.trivet.internal", "node3.lab.trivet.internal"]


def test_done_already(glusterd: FakeGlusterd) -> None:
    glusterd.peers = three()
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.probed == []


def test_half_done(glusterd: FakeGlusterd) -> None:
    glusterd.peers = three()[:1]
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.probed == ["node3.lab.trivet.internal"]


def test_a_follower_never_probes(glusterd: FakeGlusterd) -> None:
    assert waited(room.form(context(2))) == "waiting for node1 to take this node into the pool"
    glusterd.peers = parse_pool(answer("pool-list-follower")).peers[:1]
    assert waited(room.form(context(2))) == "waiting for node1 to take node3 into the pool"
    assert glusterd.probed == []


def test_a_member_that_does_not_listen_yet_is_waited_for(glusterd: FakeGlusterd) -> None:
    glusterd.deaf = {"node3.lab.trivet.internal"}
    assert "glusterd of node3" in waited(room.form(context(1)))
    assert glusterd.probed == ["node2.lab.trivet.internal"]


def test_glusterd_is_closed_before_it_is_started(glusterd: FakeGlusterd) -> None:
    glusterd.closing_trouble = TrivetError("node.pem expired")
    with pytest.raises(TrivetError, match="expired"):
        room.form(context(1))
    assert glusterd.steps == ["closed"]
    glusterd.closing_trouble = None
    room.form(context(1))
    assert glusterd.steps == ["closed", "closed", "start"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Handshake(trouble="shows a certificate that is not accepted here: certificate has expired"), "has expired"),
        (Handshake("f" * 32), "another node answers at 10.91.7.2: " + "f" * 32),
    ],
)
def test_the_true_cause_of_a_refused_probe_is_named(glusterd: FakeGlusterd, answer: Handshake, words: str) -> None:
    glusterd.refuses, glusterd.answer = True, answer
    reason = waited(room.form(context(1)))
    assert "glusterd of node2" in reason
    assert words in reason


def test_what_the_handshake_does_not_explain_is_glusterds_own_word(glusterd: FakeGlusterd) -> None:
    glusterd.refuses, glusterd.answer = True, Handshake(f"{2:032x}")
    with pytest.raises(GlusterError, match="already part of another cluster"):
        room.form(context(1))


def test_a_stranger_is_refused_by_name_before_anything_is_probed(glusterd: FakeGlusterd) -> None:
    glusterd.peers = (Peer("x", ("stranger.example",), True, "Peer in Cluster"),)
    with pytest.raises(RefusedError, match=r"no members of this site: stranger\.example"):
        room.form(context(1))
    assert glusterd.probed == []


def test_a_peer_that_is_not_accepted_yet_is_waited_for(glusterd: FakeGlusterd) -> None:
    first, second = three()
    glusterd.peers = (first, replace(second, state="Probe Sent to Peer"))
    assert waited(room.form(context(1))) == "peers not connected: node3 (probe sent to peer)"


def down() -> tuple[Peer, ...]:
    return parse_pool(answer("pool-list-down")).peers


def test_a_dead_peer_holds_up_the_first_formation(glusterd: FakeGlusterd) -> None:
    glusterd.peers = down()
    assert waited(room.form(context(1))) == "peers not connected: node3 (disconnected)"


def test_a_dead_peer_does_not_hold_up_a_node_that_comes_back(glusterd: FakeGlusterd) -> None:
    glusterd.peers = down()
    glusterd.volumes = parse_volumes(answer("volume-info-many"))
    returning = context(1)
    assert isinstance(room.form(returning), Done)
    returning.finished.add("domains")
    assert "node3 (disconnected)" in waited(room.form(returning))


def test_names_are_matched_by_any_that_glusterd_knows() -> None:
    others = room.others(by_slot(1))
    by_address = Pool("me", (Peer("a", ("10.91.7.2",), True, "Peer in Cluster"), *three()[1:]))
    assert [member.name for member in room.compare(by_address, others).settled] == ["node2", "node3"]


def by_slot(slot: int) -> Context:
    made = context(slot)
    assert made.members == members(3)
    return made


def test_glusterd_is_closed_before_it_starts(glusterd: FakeGlusterd) -> None:
    room.form(context(1))
    assert glusterd.steps == ["closed", "start"]


def restarted(glusterd: FakeGlusterd, slot: int, *moments_s: float) -> bool:
    for glusterd.now_s in moments_s:
        room.form(context(slot))
    return "restart" in glusterd.steps


LIMIT_S = room.store.CUT_OFF_S


def test_a_follower_that_was_met_half_starts_its_glusterd_again(glusterd: FakeGlusterd) -> None:
    glusterd.half_met = {"node1.lab.trivet.internal"}
    assert not restarted(glusterd, 2, 0.0, LIMIT_S - 1)
    assert restarted(glusterd, 2, LIMIT_S)


def test_being_probed_is_waited_for(glusterd: FakeGlusterd) -> None:
    glusterd.half_met = {"node1.lab.trivet.internal"}
    assert waited(room.form(context(2))) == "glusterd is being probed"


def test_a_pool_that_can_not_be_read_is_a_failure(glusterd: FakeGlusterd, monkeypatch: pytest.MonkeyPatch) -> None:
    glusterd.half_met = {"somebody"}
    monkeypatch.setattr(room.store, "half_met", frozenset)
    with pytest.raises(GlusterError):
        room.form(context(2))


def test_a_meeting_that_goes_on_is_left_alone(glusterd: FakeGlusterd) -> None:
    for now_s, names in ((0.0, {"a"}), (8.0, set()), (9.0, {"a"}), (18.0, {"a"})):
        glusterd.half_met = names
        assert not restarted(glusterd, 2, now_s)


@pytest.mark.parametrize("slot", [1, 2])
def test_a_meeting_after_one_that_ended_has_its_own_time(glusterd: FakeGlusterd, slot: int) -> None:
    settled = three() if slot == 1 else parse_pool(answer("pool-list-follower")).peers
    meeting = tuple(replace(peer, state="Accepted peer request") for peer in settled)
    for now_s, peers in ((0.0, meeting), (1.0, settled), (100.0, meeting), (99.0 + LIMIT_S, meeting)):
        glusterd.peers = peers
        assert not restarted(glusterd, slot, now_s), now_s
    assert restarted(glusterd, slot, 100.0 + LIMIT_S)


def test_a_probe_after_one_that_ended_has_its_own_time(glusterd: FakeGlusterd) -> None:
    probing = {"node1.lab.trivet.internal"}
    glusterd.peers = parse_pool(answer("pool-list-follower")).peers
    for now_s, names in ((0.0, probing), (1.0, set()), (100.0, probing)):
        glusterd.half_met = names
        assert not restarted(glusterd, 2, now_s), now_s


def test_a_peer_by_name_alone_is_not_forgotten_where_there_are_volumes(glusterd: FakeGlusterd) -> None:
    glusterd.half_met = {"node1.lab.trivet.internal"}
    glusterd.volumes = parse_volumes(answer("volume-info-many"))
    assert not restarted(glusterd, 2, 0.0, 100.0)


@pytest.mark.parametrize("state", ["Sent and Received peer request", "Accepted peer request"])
@pytest.mark.parametrize("slot", [1, 2])
def test_a_meeting_that_was_cut_off_on_the_other_side_is_begun_again(
    glusterd: FakeGlusterd, slot: int, state: str
) -> None:
    first, second = three()
    stuck = replace(second, state=state)
    glusterd.peers = (first, stuck) if slot == 1 else parse_pool(answer("pool-list-follower")).peers
    if slot == 2:
        glusterd.peers = tuple(replace(peer, state=state) for peer in glusterd.peers)
    assert not restarted(glusterd, slot, 0.0, LIMIT_S - 1)
    assert restarted(glusterd, slot, LIMIT_S)


@pytest.mark.parametrize(("connected", "state"), [(True, "Peer Rejected"), (False, "Sent and Received peer request")])
def test_a_peer_that_refuses_or_is_away_is_no_meeting(glusterd: FakeGlusterd, connected: bool, state: str) -> None:
    first, second = three()
    glusterd.peers = (first, replace(second, connected=connected, state=state))
    assert not restarted(glusterd, 1, 0.0, 100.0)
