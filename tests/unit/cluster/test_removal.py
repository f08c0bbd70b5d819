"""What a removal means for agents: who was removed stops, the others say what is left to be done."""

from __future__ import annotations

import pytest

from firstboot import chrony
from firstboot.cluster import memberlist, removal
from firstboot.cluster.changes import Change, ReleaseSlot, RemoveNode, RotateAuthority
from firstboot.cluster.events import Endpoint, Visit
from firstboot.cluster.members import Members
from firstboot.cluster.roster import Rival, Roster, fold
from firstboot.cluster.views import View
from firstboot.context import Context
from firstboot.gluster import processes
from firstboot.gluster import removal as gluster_removal
from firstboot.state import KnownMember
from tests.unit.cluster.documents import founded, node, seed
from tests.unit.firstboot.gluster.formed import context as formed


def made(*changes: Change) -> Members:
    members = founded()
    for change in changes:
        outcome = change.apply(members)
        assert isinstance(outcome, Members)
        members = outcome
    return members


def view(slot: int, node_id: str, address: str = "") -> View:
    return View(node_id=node_id, slot=slot, seed_id=seed(slot), phase="formed", address=address or f"192.0.2.{slot}")


def test_who_was_removed_stops_gluster_and_serves_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(processes, "end_all", lambda: done.append("gluster"))
    monkeypatch.setattr(chrony, "leave", lambda: done.append("chrony"))
    assert removal.leave("") is None
    assert done == []
    waiting = removal.leave("this node was removed from the cluster in epoch 2: turn it off")
    assert waiting is not None
    assert "epoch 2" in waiting.reason
    assert done == ["gluster", "chrony"]


def test_a_removed_node_that_is_on_is_told_from_a_second_machine() -> None:
    members, rival = made(RemoveNode(node(3))), Rival(3, "192.0.2.3", view(3, node(3)))
    assert "was removed from slot 3, is on at 192.0.2.3: turn it off" in removal.returned(members, node(3), rival)
    assert removal.returned(members, node(3, 1), rival) == ""
    assert removal.returned(None, node(3), rival) == ""


def test_what_is_under_way_is_a_problem_until_it_is_done() -> None:
    assert removal.under_way(made(), {}, node(1)) == []
    assert removal.under_way(None, {}, node(1)) == []
    (told,) = removal.under_way(made(RemoveNode(node(3))), {}, node(1))
    assert told == "enrol: the cluster authority is being replaced after a removal; not reached: node2"
    rotated = made(RemoveNode(node(3)), RotateAuthority("a" * 32, ""), RotateAuthority("b" * 32, "a" * 32))
    (told,) = removal.under_way(rotated, {2: view(2, node(2))}, node(1))
    assert told == "enrol: the cluster authority is being replaced after a removal"
    assert removal.under_way(rotated, {}, node(3)) == [], "it is no member"


def test_a_slot_is_free_once_its_former_node_left_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    here = formed(2)
    asked: list[int] = []

    def occupation(_: Context, __: Members, slot: int) -> str:
        asked.append(slot)
        return "still in the pool"

    monkeypatch.setattr(gluster_removal, "occupation", occupation)
    released = made(ReleaseSlot(3, node(3)))
    assert "node2 does not know yet" in removal.vacated(
        here, released, 3
    ), "no phase has come to the pool in this run"
    assert removal.vacated(here, released, 1) == ""
    assert removal.vacated(here, made(), 3) == "", "nobody was removed from it"
    assert removal.vacated(here, None, 3) == ""
    assert asked == []
    here.finished.add("pool")
    here.document = made()
    assert removal.vacated(here, released, 3) == "still in the pool", "the register's epoch counts"
    assert asked == [3]


def test_a_members_address_is_not_that_of_whoever_answers_for_its_slot() -> None:
    here = formed(1)
    roster = fold(Roster(1, node(1)), {}, Visit(Endpoint("192.0.2.99", 7463), 3, view(3, node(3, 1), "192.0.2.99")))
    remembered = {3: KnownMember(node_id=node(3), address="192.0.2.3")}
    here.address = "192.0.2.1"
    members = memberlist.locate(here, memberlist.holders(made(), {}, {}), roster.contacts, remembered)
    assert {slot: member.address for slot, member in members.items()} == {1: "192.0.2.1", 3: "192.0.2.3"}
    assert memberlist.addresses(members.values()) == {"192.0.2.1", "192.0.2.3"}
    assert memberlist.known(members[3]) == remembered[3]


def test_a_machine_of_a_later_slot_is_told_what_is_missing() -> None:
    here = formed(1)
    assert memberlist.later_hint(here) == ""
    slot = here.slot.model_copy(update={"later": True})
    assert here.seed is not None
    plan = here.plan.model_copy(update={"slots": (slot, *here.plan.slots[1:])})
    here.seed = here.seed.model_copy(update={"plan": plan})
    assert "trivet-node slot add 1 node1" in memberlist.later_hint(here)
