"""The core's own steps, event by event: attempts without a slot, and what an operator is told."""

from __future__ import annotations

from firstboot.cluster.ballots import FIRST, Attempt, Proposal, Ready, Votes
from firstboot.cluster.core import Core
from firstboot.cluster.events import (
    Action,
    Answer,
    ClaimArrived,
    Declined,
    Endpoint,
    Event,
    Granted,
    Held,
    Identity,
    LeaveOut,
    LeftOut,
    MembersKnown,
    Persist,
    Persisted,
    PersistFailed,
    Reply,
    Started,
    TimePassed,
    Unsaved,
    Visit,
    Visited,
    WaitFor,
)
from firstboot.cluster.presence import Patience
from firstboot.cluster.views import View

A, B, C = "a" * 32, "b" * 32, "c" * 32
NODES = {1: A, 2: B, 3: C}
SEED = "5" * 32
NAMES = {1: "node1", 2: "node2", 3: "node3"}
PATIENCE = Patience(release_after_s=300, grace_s=60, max_step_s=1000)


class Node:
    """Slot 2's node on a disk that never fails; `now_s` is its clock."""

    def __init__(self, votes: Votes | None = None) -> None:
        self.now_s = 0.0
        self.core = Core(Identity(2, B, SEED, NAMES, run="7" * 32), PATIENCE)
        self.do(Started(votes or Votes(), self.now_s))

    def do(self, event: Event) -> list[Action]:
        """What is left for the agent, once everything is written."""
        actions, left = self.core.step(event), []
        while actions:
            action = actions.pop(0)
            if isinstance(action, Persist):
                actions += self.core.step(Persisted(action.serial, self.now_s))
            else:
                left.append(action)
        return left

    def wait(self, seconds: float) -> WaitFor:
        self.now_s += seconds
        (standing,) = self.do(TimePassed(self.now_s))
        assert isinstance(standing, WaitFor)
        return standing

    def claim(self, slot: int, node_id: str) -> object:
        answers = self.do(ClaimArrived(1, slot, slot, node_id, self.now_s))
        return next(answer.verdict for answer in answers if isinstance(answer, Answer))

    def leave_out(self, *slots: int) -> LeftOut | Declined | Unsaved:
        (reply,) = self.do(LeaveOut(1, slots, self.now_s))
        assert isinstance(reply, Reply)
        return reply.verdict

    def see(self, slot: int, *, attempt: Attempt = FIRST, ready: Ready | None = None) -> None:
        view = View(
            node_id=NODES[slot],
            slot=slot,
            seed_id=SEED,
            phase="admit",
            claims={**NODES} if ready else {slot: NODES[slot], 2: B},
            attempt=attempt,
            ready=ready,
            address=f"192.0.2.{slot}",
        )
        self.do(Visited(Visit(Endpoint(f"192.0.2.{slot}", 7463), slot, view), slot, self.now_s))


def met() -> Node:
    """A node that knows slot 1's, and never heard of slot 3's for long enough."""
    node = Node()
    node.wait(61)
    node.claim(1, A)
    node.see(1)
    return node


def test_an_operator_leaves_out_who_was_never_heard_of() -> None:
    node = met()
    assert node.leave_out(3) == LeftOut(Attempt(1, (3,), B))
    assert node.core.votes.attempt == Attempt(1, (3,), B)
    assert "slot 1 (node1) asks every slot, this node goes on without slot 3" in node.wait(1).reason


def test_who_was_heard_of_must_be_silent_for_longer() -> None:
    node = met()
    node.claim(3, C)
    node.wait(299)
    verdict = node.leave_out(3)
    assert isinstance(verdict, Declined)
    assert verdict.reason == "slot 3 was heard of 299 s ago; it can be left out after 300 s of silence"
    node.wait(1)
    assert isinstance(node.leave_out(3), LeftOut)


def test_one_that_is_left_out_counts_for_the_next() -> None:
    node = met()
    node.leave_out(3)
    verdict = node.leave_out(1)
    assert isinstance(verdict, Declined)
    assert "1 of 3 slots are not more than half" in verdict.reason


def test_nothing_named_is_nothing_done() -> None:
    assert met().leave_out() == Declined("no slot was named")


def test_another_nodes_attempt_is_taken_part_in_after_silence_only() -> None:
    node = met()
    node.claim(3, C)
    others = Attempt(1, (3,), A)
    node.see(1, attempt=others)
    assert node.core.votes.attempt == FIRST
    waits = node.wait(1)
    assert waits.reason.startswith(
        "slot 1 (node1) wants to go on without slot 3 (node3), this node does not yet: slot 3 was heard of 1 s ago"
    )
    node.wait(300)
    node.see(1, attempt=others)
    assert node.core.votes.attempt == others


def test_who_comes_back_is_taken_in_again_for_all() -> None:
    node = met()
    others = Attempt(4, (3,), A)
    node.see(1, attempt=others)
    assert isinstance(node.claim(3, C), Granted)
    assert node.core.votes.attempt == Attempt(5, (), B)


def test_an_attempt_that_this_node_did_not_take_part_in_ends_when_the_machine_is_heard_of_again() -> None:
    node = met()
    node.claim(3, C)
    node.see(1, attempt=Attempt(1, (3,), A))
    assert node.core.votes.attempt == FIRST
    node.see(3)
    assert node.core.votes.attempt == Attempt(2, (), B)


def test_once_somebody_is_ready_it_is_too_late_to_come_back() -> None:
    node = met()
    node.leave_out(3)
    attempt = node.core.votes.attempt
    node.see(1, attempt=attempt)
    assert "which is to found the cluster, is not ready" in node.wait(1).reason
    ready = Ready(attempt, Proposal({1: A, 2: B}, {1: SEED, 2: SEED}, "9" * 32))
    node.see(1, attempt=attempt, ready=ready)
    assert node.core.votes.ready == ready
    verdict = node.claim(3, C)
    assert verdict == Held("", "the cluster is about to be founded without slot 3 (node3)")
    assert node.core.votes.attempt == attempt


def test_a_wish_that_can_not_be_written_is_not_granted() -> None:
    node = met()
    (persist,) = node.core.step(LeaveOut(7, (3,), node.now_s))
    assert isinstance(persist, Persist)
    assert node.core.step(LeaveOut(8, (3,), node.now_s)) == []
    assert node.core.step(PersistFailed(persist.serial, node.now_s)) == [Reply(7, Unsaved()), Reply(8, Unsaved())]
    assert node.core.votes.attempt == FIRST


def test_who_claimed_while_a_write_failed_was_heard_of() -> None:
    node = Node()
    node.see(1)
    (persist,) = node.core.step(ClaimArrived(7, 1, 1, A, node.now_s))
    assert isinstance(persist, Persist)
    assert node.core.step(ClaimArrived(8, 3, 3, C, node.now_s)) == []
    failed = node.core.step(PersistFailed(persist.serial, node.now_s))
    assert failed == [Answer(7, Unsaved()), Answer(8, Unsaved())]
    node.wait(100)
    verdict = node.leave_out(3)
    assert isinstance(verdict, Declined)
    assert "slot 3 was heard of 100 s ago" in verdict.reason


def test_the_promise_survives_a_restart_and_is_no_reason_to_hear_who_is_silent() -> None:
    attempt = Attempt(3, (3,), A)
    node = Node(Votes({1: A, 2: B}, attempt=attempt))
    node.see(1, attempt=attempt)
    assert node.core.votes.attempt == attempt


def test_who_is_a_member_no_more_is_not_looked_for() -> None:
    node = Node()
    node.see(1)
    node.see(3)
    node.do(MembersKnown(NAMES, NODES, node.now_s))
    assert set(node.core.roster.contacts) == {1, 3}
    node.do(MembersKnown(NAMES, {2: B, 3: C}, node.now_s))
    assert set(node.core.roster.contacts) == {3}
    node.see(1)
    assert set(node.core.roster.contacts) == {1, 3}, "whoever answers for an open slot is met"
