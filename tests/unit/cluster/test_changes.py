"""Each change of the members' document, each refusal by its kind, and what can follow what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster.changes import (
    AddSlot,
    Change,
    ClaimSlot,
    CloseSlot,
    Refusal,
    ReleaseSlot,
    RemoveNode,
    RetireAuthority,
    RotateAuthority,
    Why,
)
from firstboot.cluster.members import Members, Removed, follows
from tests.unit.cluster.documents import TOKEN, founded, node, seed

A, B = "a" * 32, "b" * 32


def made(members: Members, *changes: Change) -> Members:
    for change in changes:
        outcome = change.apply(members)
        assert isinstance(outcome, Members), outcome
        members = outcome
    return members


def why(members: Members, change: Change) -> Why:
    outcome = change.apply(members)
    assert isinstance(outcome, Refusal), outcome
    assert outcome.reason
    return outcome.why


def test_the_first_epoch_is_what_was_decided() -> None:
    members = founded(3, without=(3,))
    assert (members.cluster_id, members.epoch, members.founder) == (TOKEN, 1, 1)
    assert members.nodes == {node(1): 1, node(2): 2}
    assert members.slots[3].open
    assert members.seeds() == {seed(1), seed(2)}


def test_a_slot_that_was_left_out_is_open_to_its_machine() -> None:
    members = made(founded(3, without=(3,)), ClaimSlot(3, seed(3), node(3)))
    assert members.nodes[node(3)] == 3
    assert (members.epoch, members.slots[3].since, members.slots[3].open) == (2, 2, False)


def test_a_released_slot_goes_to_another_machine_with_a_new_seed() -> None:
    released = made(founded(), ReleaseSlot(3, node(3), seed(3, 1)))
    assert released.removed == {node(3): Removed(3, seed(3), 2)}
    assert 3 not in released.nodes.values()
    assert why(released, ClaimSlot(3, seed(3), node(3, 1))) is Why.SEED_USED
    assert why(released, ClaimSlot(3, seed(3, 2), node(3, 1))) is Why.OTHER_SEED
    assert why(released, ClaimSlot(3, seed(3, 1), node(3))) is Why.NODE_REMOVED
    assert why(released, ClaimSlot(3, seed(3, 1), node(1))) is Why.NODE_MEMBER
    assert made(released, ClaimSlot(3, seed(3, 1), node(3, 1))).nodes[node(3, 1)] == 3


def test_a_release_is_of_who_was_named() -> None:
    replaced = made(founded(), ReleaseSlot(3, node(3)), ClaimSlot(3, seed(3, 1), node(3, 1)))
    assert why(replaced, ReleaseSlot(3, node(3))) is Why.SLOT_HELD
    assert why(founded(), ReleaseSlot(3, None)) is Why.SLOT_HELD
    assert why(founded(), ReleaseSlot(9, None)) is Why.UNKNOWN_SLOT
    assert why(founded(), ReleaseSlot(3, node(3), seed(1))) is Why.SEED_USED


def test_a_held_or_closed_slot_is_not_claimed() -> None:
    assert why(founded(), ClaimSlot(3, seed(3, 1), node(3, 1))) is Why.SLOT_HELD
    assert why(founded(), ClaimSlot(9, seed(9), node(9))) is Why.UNKNOWN_SLOT
    closed = made(founded(3, without=(3,)), CloseSlot(3))
    assert closed.closed == (3,)
    assert why(closed, ClaimSlot(3, seed(3), node(3))) is Why.SLOT_CLOSED
    assert made(closed, ReleaseSlot(3, None)).slots[3].open
    assert why(founded(), CloseSlot(3)) is Why.SLOT_HELD
    assert why(founded(), CloseSlot(9)) is Why.UNKNOWN_SLOT


def test_a_removed_node_leaves_its_slot_closed_and_never_comes_back() -> None:
    removed = made(founded(), RemoveNode(node(2)))
    assert not removed.slots[2].open
    assert why(made(removed, ReleaseSlot(2, None)), ClaimSlot(2, seed(2, 1), node(2))) is Why.NODE_REMOVED
    assert why(founded(), RemoveNode(A)) is Why.UNKNOWN_NODE


def test_the_last_member_stays() -> None:
    alone = made(founded(), RemoveNode(node(1)), RemoveNode(node(2)))
    assert alone.founder == 3
    assert why(alone, RemoveNode(node(3))) is Why.LAST_MEMBER
    assert why(alone, ReleaseSlot(3, node(3))) is Why.LAST_MEMBER


def test_slots_are_added_in_order() -> None:
    more = made(founded(), AddSlot(4, "node4", seed(4), zone="b", address="192.0.2.4/24"))
    assert (more.slots[4].open, more.slots[4].only, more.slots[4].zone) == (True, seed(4), "b")
    assert why(founded(), AddSlot(5, "node5")) is Why.SLOT_NUMBER
    assert why(founded(), AddSlot(4, "node1")) is Why.SLOT_EXISTS
    assert why(founded(), AddSlot(3, "other")) is Why.SLOT_EXISTS
    assert why(founded(), AddSlot(4, "node4", seed(1))) is Why.SEED_USED
    assert why(founded(300), AddSlot(301, "node301")) is Why.SLOT_NUMBER


def test_a_slot_that_is_there_otherwise_is_not_told_to_be_done() -> None:
    given = AddSlot(4, "node4", seed(4))
    added = made(founded(), given)
    assert given.apply(added) == added, "done twice"
    for other in (AddSlot(4, "node4", seed(4, 1)), AddSlot(4, "node4")):
        refused = other.apply(added)
        assert isinstance(refused, Refusal)
        assert refused.why is Why.OTHER_SEED
        assert "trivet-node slot release 4" in refused.hint
    assert why(added, AddSlot(4, "node4", seed(4), zone="b")) is Why.SLOT_EXISTS
    taken = made(added, ClaimSlot(4, seed(4), node(4)))
    assert given.apply(taken) == AddSlot(4, "node4").apply(taken) == taken, "its machine came"
    assert why(taken, AddSlot(4, "node4", seed(4, 1))) is Why.SLOT_HELD
    for members in (made(added, CloseSlot(4)), made(taken, RemoveNode(node(4)))):
        refused = given.apply(members)
        assert isinstance(refused, Refusal)
        assert (refused.why, refused.hint) == (Why.SLOT_CLOSED, f"trivet-node slot release 4 --seed {seed(4)}")


def test_authorities_are_rotated_by_who_knows_the_newest() -> None:
    one = made(founded(), RotateAuthority(A, ""))
    two = made(one, RotateAuthority(B, A))
    assert two.authorities == (B, A)
    assert why(two, RotateAuthority("c" * 32, A)) is Why.AUTHORITY_CHANGED
    assert why(two, RotateAuthority(A, B)) is Why.AUTHORITY_KNOWN
    assert why(two, RetireAuthority(B)) is Why.AUTHORITY_NEWEST
    assert made(two, RetireAuthority(A)).authorities == (B,)


def test_there_is_an_end_to_what_is_remembered() -> None:
    full = founded()
    for number in range(8):
        full = made(full, RotateAuthority(f"{number:032x}", full.authorities[0] if full.authorities else ""))
    assert why(full, RotateAuthority(A, full.authorities[0])) is Why.FULL
    removed = {f"{number:032x}": Removed(1, f"9{number:031x}", 2) for number in range(10_000, 11_024)}
    assert why(replace(founded(), removed=removed), RemoveNode(node(3))) is Why.FULL


CHANGES: list[Change] = [
    AddSlot(4, "node4"),
    ReleaseSlot(3, node(3), seed(3, 1)),
    ReleaseSlot(3, None),
    CloseSlot(3),
    ClaimSlot(3, seed(3, 1), node(3, 1)),
    ClaimSlot(3, seed(3), node(3)),
    ClaimSlot(4, seed(4), node(4)),
    RemoveNode(node(1)),
    RemoveNode(node(3)),
    RotateAuthority(A, ""),
    RotateAuthority(B, A),
    RetireAuthority(A),
]


@given(st.lists(st.sampled_from(CHANGES), max_size=12))
def test_whatever_is_done_follows_and_done_twice_is_done_once(changes: list[Change]) -> None:
    members = founded(3, without=(2,))
    for change in changes:
        outcome = change.apply(members)
        if isinstance(outcome, Members) and outcome != members:
            assert follows(members, outcome) == ""
            assert change.apply(outcome) == outcome
            members = outcome


def test_what_does_not_follow_is_told() -> None:
    before = founded()
    after = made(before, RemoveNode(node(3)))
    assert "does not follow" in follows(before, replace(after, epoch=3))
    assert "does not follow" in follows(before, replace(after, cluster_id=A))
    assert "more than one" in follows(before, replace(made(after, RemoveNode(node(2))), epoch=2))
    assert "forgotten" in follows(before, replace(after, removed={}))
    back = replace(after.slots[3], node_id=node(3), seed_id=seed(3))
    assert "comes back" in follows(after, replace(after, epoch=3, slots={**after.slots, 3: back}))
    twice = replace(after.slots[3], node_id=node(3, 1), seed_id=seed(1))
    assert "one seed has two" in follows(after, replace(after, epoch=3, slots={**after.slots, 3: twice}))
    double = replace(after.slots[3], node_id=node(1), seed_id=seed(3, 1))
    assert "two slots" in follows(after, replace(after, epoch=3, slots={**after.slots, 3: double}))


@pytest.mark.parametrize("nodes", [[1], [1, 9], []])
def test_less_than_half_is_no_majority(nodes: list[int]) -> None:
    assert not founded().is_majority([node(slot) for slot in nodes])
    assert founded().is_majority([node(1), node(3)])
    assert not founded(4).is_majority([node(1), node(3)])
