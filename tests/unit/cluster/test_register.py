"""The register, event by event: who is asked when, what is told to whom; that it is safe is the simulator's."""

from __future__ import annotations

import random
from dataclasses import replace

from firstboot.cluster.acceptor import answer
from firstboot.cluster.admission import Admitted, Pending, Sponsor, consider
from firstboot.cluster.bids import (
    Accept,
    Accepted,
    Bid,
    Busy,
    Consent,
    Learn,
    Learnt,
    Newer,
    Prepare,
    Promise,
    RegisterState,
    Rejected,
)
from firstboot.cluster.changes import Change, ClaimSlot, CloseSlot, Refusal, RemoveNode, RotateAuthority
from firstboot.cluster.members import Members
from firstboot.cluster.proceedings import (
    Action,
    Asked,
    Call,
    Denied,
    Elapsed,
    End,
    Event,
    Finished,
    GivenUp,
    Made,
    Opened,
    Reacted,
    Respond,
    Save,
    Saved,
    SaveFailed,
    Settled,
    Unanswered,
    Wanted,
)
from firstboot.cluster.proposer import LEAP, Adopt, Proposer, Timing
from firstboot.cluster.register import Register
from tests.unit.cluster.documents import founded, node, seed

A, B = "a" * 32, "b" * 32
TIMING = Timing(round_s=5, pause_s=1, longest_pause_s=4, give_up_s=30)
BASE = founded()


class Site:
    """Registers that hear each other at once, but for those that are `off`."""

    def __init__(self, members: Members = BASE) -> None:
        self.now_s = 0.0
        self.off: set[str] = set()
        self.registers: dict[str, Register] = {}
        self.ends: list[End] = []
        for one in members.nodes:
            self.add(one, members)

    def add(self, node_id: str, members: Members | None = None) -> Register:
        register = self.registers[node_id] = Register(node_id, random.Random(1), TIMING)
        self.do(register, Opened(RegisterState(), 0.0))
        if members is not None:
            self.do(register, Settled(members, 0.0))
        return register

    def do(self, register: Register, event: Event) -> list[Action]:
        actions, left = register.step(event), []
        while actions:
            action = actions.pop(0)
            match action:
                case Save():
                    actions += register.step(Saved(action.serial, self.now_s))
                case Call():
                    actions += register.step(self._ask(register, action))
                case Finished():
                    self.ends.append(action.end)
                case Respond():
                    left.append(action)
        return left

    def _ask(self, caller: Register, call: Call) -> Event:
        if call.node_id in self.off or call.node_id not in self.registers:
            return Unanswered(call.call, call.node_id, "no route to host", self.now_s)
        asked = Asked(0, caller.node_id, call.question, self.now_s)
        (respond,) = self.do(self.registers[call.node_id], asked)
        assert isinstance(respond, Respond)
        return Reacted(call.call, call.node_id, respond.reaction, self.now_s)

    def want(self, slot: int, change: Change | None) -> None:
        self.do(self.registers[node(slot)], Wanted(1, change, self.now_s))

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.now_s += 0.5
            for one, register in self.registers.items():
                if one not in self.off:
                    self.do(register, Elapsed(self.now_s))


def test_a_change_is_made_by_more_than_half_and_everybody_learns() -> None:
    site = Site()
    site.off = {node(1)}
    site.want(2, RotateAuthority(A, ""))
    (end,) = site.ends
    assert isinstance(end, Made)
    assert (end.members.epoch, end.members.authorities) == (2, (A,))
    assert site.registers[node(3)].members == end.members
    site.off = set()
    site.want(1, None)
    assert site.ends[1] == Made(end.members)
    assert site.registers[node(1)].members == end.members


def test_who_is_alone_can_change_nothing_and_says_why() -> None:
    site = Site()
    site.off = {node(2), node(3)}
    site.want(1, RotateAuthority(A, ""))
    site.wait(40)
    (end,) = site.ends
    assert isinstance(end, GivenUp)
    assert not end.open
    assert end.reason == (
        "1 of 3 members answered, more than half are needed (node2: no route to host; node3: no route to host)"
    )


def test_a_refusal_is_of_the_latest_epoch() -> None:
    site = Site()
    site.off = {node(1)}
    site.want(2, RotateAuthority(A, ""))
    site.off = set()
    site.want(1, RotateAuthority(B, ""))
    (_, end) = site.ends
    assert isinstance(end, Denied)
    assert end.epoch == 2


def test_no_member_is_removed_while_the_others_are_too_few() -> None:
    site = Site()
    site.off = {node(1)}
    site.want(2, RemoveNode(node(3)))
    site.wait(40)
    (end,) = site.ends
    assert isinstance(end, GivenUp)
    assert not end.open
    assert end.reason.startswith("1 of 2 members after the change answered")


def test_a_new_member_is_asked_too() -> None:
    site = Site(founded(3, without=(3,)))
    joins = ClaimSlot(3, seed(3), node(3))
    site.want(1, joins)
    assert isinstance(site.ends[0], Made)
    site = Site(founded(2, without=(2,)))
    site.want(1, ClaimSlot(2, seed(2), node(2)))
    site.wait(3)
    assert site.ends == []
    assert "1 of 2 members after the change answered" in site.registers[node(1)].trouble
    newcomer = site.add(node(2))
    site.wait(10)
    assert site.ends == [], "it takes nothing from whoever asks"
    site.do(newcomer, Settled(founded(2, without=(2,)), site.now_s))
    site.wait(10)
    assert isinstance(site.ends[0], Made)
    assert newcomer.members == site.ends[0].members


def test_a_removed_node_changes_nothing_any_more() -> None:
    site = Site()
    site.want(1, RemoveNode(node(3)))
    site.want(3, RotateAuthority(A, ""))
    assert site.ends[1] == GivenUp("this node was removed from the cluster in epoch 2", open=False)
    outside = site.add(node(9))
    site.do(outside, Wanted(1, CloseSlot(1), 0.0))
    assert site.ends[2] == GivenUp("this node is in no cluster yet", open=False)


def test_what_one_began_another_completes() -> None:
    site = Site()
    begun = RotateAuthority(A, "").apply(BASE)
    assert isinstance(begun, Members)
    stray = Accept(BASE, Bid(1, node(1)), begun)
    site.do(site.registers[node(2)], Asked(0, node(1), Prepare(BASE, stray.bid), 0.0))
    site.do(site.registers[node(2)], Asked(0, node(1), stray, 0.0))
    site.off = {node(1)}
    site.want(3, RotateAuthority(B, A))
    site.wait(10)
    (end,) = site.ends
    assert isinstance(end, Made)
    assert end.members.authorities == (B, A)


def test_the_own_promise_is_on_disk_before_anybody_is_asked() -> None:
    register = Register(node(1), random.Random(1), TIMING)
    register.step(Opened(RegisterState(BASE), 0.0))
    (save,) = register.step(Wanted(1, None, 0.0))
    assert isinstance(save, Save)
    assert save.state.promised == Bid(1, node(1))
    calls = register.step(Saved(save.serial, 0.0))
    assert [call.node_id for call in calls if isinstance(call, Call)] == [node(2), node(3)]


def test_what_can_not_be_written_is_not_said() -> None:
    register = Register(node(1), random.Random(1), TIMING)
    register.step(Opened(RegisterState(BASE), 0.0))
    (save,) = register.step(Asked(7, node(2), Prepare(BASE, Bid(1, node(2))), 0.0))
    assert isinstance(save, Save)
    assert register.step(Asked(8, node(3), Prepare(BASE, Bid(1, node(3))), 0.0)) == []
    first, second = register.step(SaveFailed(save.serial, 0.0))
    assert first == Respond(7, Rejected("it could not be written to disk"))
    assert isinstance(second, Save)


def test_answers() -> None:
    state = RegisterState(BASE, Bid(4, node(2)))
    assert answer(state, node(1), Prepare(BASE, Bid(3, node(1)))) == (state, Busy(Bid(4, node(2))))
    promised, reaction = answer(state, node(1), Prepare(BASE, Bid(5, node(1))))
    assert (promised.promised, reaction) == (Bid(5, node(1)), Promise(Bid(5, node(1)), None))
    after = RotateAuthority(A, "").apply(BASE)
    assert isinstance(after, Members)
    accepted, reaction = answer(promised, node(1), Accept(BASE, Bid(5, node(1)), after))
    assert (accepted.accepted, reaction) == (Accepted(Bid(5, node(1)), after), Consent(Bid(5, node(1))))
    assert answer(accepted, node(2), Prepare(BASE, Bid(6, node(2))))[1] == Promise(Bid(6, node(2)), accepted.accepted)
    assert answer(accepted, node(2), Learn(after)) == (RegisterState(after), Learnt(2))
    assert answer(RegisterState(after), node(2), Prepare(BASE, Bid(9, node(2))))[1] == Newer(after)
    assert answer(RegisterState(after), node(2), Learn(BASE)) == (RegisterState(after), Learnt(2))


def test_who_knows_no_cluster_takes_nothing_from_who_asks() -> None:
    for question in (Learn(BASE), Prepare(BASE, Bid(1, node(1)))):
        after, reaction = answer(RegisterState(), node(1), question)
        assert after == RegisterState()
        assert isinstance(reaction, Rejected)


def test_an_epoch_of_another_cluster_or_that_forgot_a_removed_node_is_not_taken() -> None:
    removed = RemoveNode(node(3)).apply(BASE)
    assert isinstance(removed, Members)
    state = RegisterState(removed)
    for forged in (replace(BASE, epoch=9), replace(removed, epoch=9, cluster_id=B)):
        assert answer(state, node(2), Learn(forged)) == (state, Learnt(removed.epoch))


def test_only_a_member_tells_of_a_newer_epoch_and_nobody_uses_up_the_numbers() -> None:
    members = founded(3, without=(3,))
    proposer = Proposer(node(1), random.Random(1), TIMING)
    proposer.want(1, ClaimSlot(3, seed(3), node(3)), 0.0)
    state, now_s = RegisterState(members), 0.0
    (own,) = proposer.go_on(state, now_s)
    assert isinstance(own, Call)
    assert isinstance(own.question, Prepare)
    asked = proposer.react(own.call, node(1), Promise(own.question.bid, None), now_s)
    assert {call.node_id for call in asked if isinstance(call, Call)} == {node(2), node(3)}
    forged = Newer(replace(members, epoch=10**6))
    assert proposer.react(own.call, node(3), forged, now_s) == []
    assert proposer.react(own.call, node(2), Newer(replace(members, epoch=2)), now_s) == [
        Adopt(replace(members, epoch=2))
    ]
    (again,) = proposer.go_on(state, 10.0)
    assert isinstance(again, Call)
    proposer.react(again.call, node(3), Busy(Bid(10**9, node(3))), 10.0)
    (last,) = proposer.go_on(state, 30.0 - 1e-6)
    assert isinstance(last, Call)
    assert isinstance(last.question, Prepare)
    assert last.question.bid.number <= 2 * LEAP


def test_questions_that_make_no_sense() -> None:
    state = RegisterState(BASE)
    for sender, question in (
        (node(2), Prepare(BASE, Bid(1, node(1)))),
        (node(9), Prepare(BASE, Bid(1, node(9)))),
        (node(1), Prepare(founded(4), Bid(1, node(1)))),
        (node(1), Accept(BASE, Bid(1, node(1)), BASE)),
    ):
        after, reaction = answer(state, sender, question)
        assert after == state
        assert isinstance(reaction, Rejected)


def test_one_member_sees_to_who_comes_later() -> None:
    members = founded(3, without=(3,))
    claim = ClaimSlot(3, seed(3), node(3))
    assert consider(members, node(1), [2], claim) == Sponsor(claim)
    assert consider(members, node(2), [1], claim) == Pending(1, "node1")
    assert consider(members, node(2), [], claim) == Sponsor(claim)
    assert isinstance(consider(members, node(1), [2], ClaimSlot(2, seed(2, 1), node(9))), Refusal)
    admitted = claim.apply(members)
    assert isinstance(admitted, Members)
    assert consider(admitted, node(2), [1], claim) == Admitted()
