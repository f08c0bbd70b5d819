"""Orders about slots and members: which change they come to, what they refuse, and what they tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from firstboot.cluster import slotorders
from firstboot.cluster.changes import AddSlot, Change, ClaimSlot, CloseSlot, Refusal, ReleaseSlot, RemoveNode
from firstboot.cluster.council import Council, NotMadeError
from firstboot.cluster.members import Members
from firstboot.cluster.proceedings import GivenUp
from firstboot.cluster.slotorders import SlotOrders
from firstboot.cluster.slotreport import VolumeLoss
from firstboot.context import Context
from firstboot.errors import BadInputError, RefusedError
from firstboot.seed import Seed
from tests.unit.cluster.documents import founded, node, seed
from tests.unit.firstboot.sites import site


@dataclass
class FakeCouncil:
    """Makes each change at once; `silent` says who does not answer, if too few do."""

    members: Members = field(default_factory=founded)
    silent: str = ""
    changes: list[Change] = field(default_factory=list)
    later: Members | None = None
    """What the other members have, and this node learns when it asks."""

    def make(self, change: Change | None, progress: object = None) -> Members:
        if self.silent:
            raise NotMadeError(GivenUp(self.silent, open=False))
        self.members, self.later = self.later or self.members, None
        if change is not None:
            self.changes.append(change)
            outcome = change.apply(self.members)
            if isinstance(outcome, Refusal):
                raise RefusedError(outcome.reason, hint=outcome.hint)
            self.members = outcome
        return self.members


@dataclass
class FakeMembership:
    council: Council | None
    answering: frozenset[int] = frozenset({2})


@pytest.fixture
def seed_of_slot_1() -> Seed:
    return site(3)[1][0]


def orders(council: FakeCouncil | None, given: Seed) -> SlotOrders:
    """On the node of slot 1, which sees that of slot 2."""
    context = Context(report=lambda _: None, seed=given, node_id=node(1))
    return SlotOrders(context, FakeMembership(cast("Council | None", council)))


def quiet(_: str) -> None:
    pass


def test_the_slots_as_the_members_have_them(seed_of_slot_1: Seed) -> None:
    council = FakeCouncil(founded(3, without=(3,)))
    report = orders(council, seed_of_slot_1).slots({}, quiet)
    assert report.confirmed
    assert [(s.slot, s.state, s.answers) for s in report.slots] == [
        (1, "member", True),
        (2, "member", True),
        (3, "open", None),
    ]
    council.silent = "1 of 2 members answered (node2: no answer in time)"
    report = orders(council, seed_of_slot_1).slots({}, quiet)
    assert (report.confirmed, report.trouble, report.epoch) == (False, council.silent, 1)


def test_a_slot_is_added_released_and_closed(seed_of_slot_1: Seed) -> None:
    council = FakeCouncil()
    given = orders(council, seed_of_slot_1)
    given.add({"number": 4, "name": "node4", "seed": seed(4), "zone": None, "address": None}, quiet)
    given.close({"slot": "node4"}, quiet)
    given.release({"slot": "4", "seed": None}, quiet)
    given.release({"slot": node(3)[:20]}, quiet)
    assert council.changes == [
        AddSlot(4, "node4", seed(4)),
        CloseSlot(4),
        ReleaseSlot(4, None),
        ReleaseSlot(3, node(3)),
    ]


def test_a_node_is_removed_by_slot_name_or_id_and_only_once(seed_of_slot_1: Seed) -> None:
    council = FakeCouncil()
    given = orders(council, seed_of_slot_1)
    assert given.remove({"slot": "node3"}, quiet).removed[0].node_id == node(3)
    assert given.remove({"slot": "3"}, quiet).epoch == 2
    assert given.remove({"slot": node(3)}, quiet).epoch == 2
    assert council.changes == [RemoveNode(node(3))]
    looked = given.look({"slot": node(3)}, quiet)
    assert (looked.slot, looked.node_id, looked.answers) == (3, None, False), "nobody is to be asked whether to"


def test_a_slot_is_looked_up_in_the_latest_epoch(seed_of_slot_1: Seed) -> None:
    """This node missed that another machine took the slot."""
    council = FakeCouncil()
    stale = orders(council, seed_of_slot_1)
    for change in (ReleaseSlot(3, node(3)), ClaimSlot(3, seed(3, 1), node(3, 1))):
        council.make(change)
    latest, council.members = council.members, founded(3, without=(3,))
    council.later = latest
    assert stale.look({"slot": "3"}, quiet).node_id == node(3, 1)
    assert stale.remove({"slot": "3"}, quiet).removed[-1].node_id == node(3, 1)
    council.silent = "1 of 3 members answered"
    for order in (stale.look, stale.remove, stale.release, stale.close):
        with pytest.raises(NotMadeError, match="1 of 3 members answered"):
            order({"slot": "3"}, quiet)


@pytest.mark.parametrize("shown", [node(3), ""])
def test_who_was_not_shown_to_the_operator_is_not_removed(shown: str, seed_of_slot_1: Seed) -> None:
    council = FakeCouncil()
    for change in (ReleaseSlot(3, node(3)), ClaimSlot(3, seed(3, 1), node(3, 1))):
        council.make(change)
    given = orders(council, seed_of_slot_1)
    for order in (given.remove, given.release):
        with pytest.raises(RefusedError, match=r"slot 3 \(node3\) changed hands meanwhile"):
            order({"slot": "3", "node_id": shown}, quiet)
    assert len(council.changes) == 2
    assert given.remove({"slot": "3", "node_id": node(3, 1)}, quiet).epoch == 4


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"slot": "9"}, "no slot or member 9"),
        ({}, "no slot or member"),
        ({"slot": "0" * 12}, "several node ids"),
    ],
)
def test_nobody_of_that_name(arguments: dict[str, object], why: str, seed_of_slot_1: Seed) -> None:
    with pytest.raises(BadInputError, match=why):
        orders(FakeCouncil(), seed_of_slot_1).remove(arguments, quiet)


@pytest.mark.parametrize(
    "arguments",
    [
        {"number": "4", "name": "node4"},
        {"number": 4},
        {"number": 4, "name": "Node 4"},
        {"number": 4, "name": "node4", "seed": "none"},
    ],
)
def test_a_slot_that_can_not_be(arguments: dict[str, object], seed_of_slot_1: Seed) -> None:
    with pytest.raises(BadInputError):
        orders(FakeCouncil(), seed_of_slot_1).add(arguments, quiet)


def test_what_is_not_safe_is_refused(seed_of_slot_1: Seed, monkeypatch: pytest.MonkeyPatch) -> None:
    council = FakeCouncil()
    given = orders(council, seed_of_slot_1)
    with pytest.raises(RefusedError, match="can't remove itself"):
        given.release({"slot": "1"}, quiet)
    loss = VolumeLoss(name="data", text="volume data keeps data on it", possible=False, hint="move it")
    monkeypatch.setattr(slotorders, "losses", lambda *_: (loss,))
    for order in (given.remove, given.release):
        with pytest.raises(RefusedError, match="volume data keeps data on it: nothing was changed"):
            order({"slot": "3"}, quiet)
    assert council.changes == []
    assert given.look({"slot": "3"}, quiet).volumes == (loss,)


def test_no_cluster_yet(seed_of_slot_1: Seed) -> None:
    with pytest.raises(RefusedError, match="in no cluster yet"):
        orders(None, seed_of_slot_1).slots({}, quiet)


def test_what_is_shown_before_a_removal(seed_of_slot_1: Seed) -> None:
    given = orders(FakeCouncil(founded(4, without=(4,))), seed_of_slot_1)
    looked = given.look({"slot": "2"}, quiet)
    assert (looked.node_id, looked.answers, looked.members) == (node(2), True, 3)
    assert not given.look({"slot": "3"}, quiet).answers
    assert given.look({"slot": "4"}, quiet).node_id is None
