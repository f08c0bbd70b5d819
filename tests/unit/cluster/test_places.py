"""Which place in the pool a machine has that came instead of another: what the members say, and when it counts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from firstboot.cluster.changes import ClaimSlot, ReleaseSlot
from firstboot.cluster.members import Members
from firstboot.cluster.places import Heir, Places, Unknown, inherited
from tests.unit.cluster.documents import founded, node, seed


def uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def replaced(slots: int = 3) -> Members:
    """Slot 1's node was removed, and another one has the slot, since epoch 3."""
    members: Members = founded(slots)
    for change in (ReleaseSlot(1, node(1)), ClaimSlot(1, seed(1, 1), node(1, 1))):
        after = change.apply(members)
        assert isinstance(after, Members)
        members = after
    return members


def told(*slots: int, epoch: int = 3, version: int = 100000) -> Places:
    return Places(epoch=epoch, operating_version=version, glusterd={slot: uuid(slot) for slot in slots})


def test_the_place_and_the_peers_are_as_the_members_say() -> None:
    found = inherited(replaced(), 1, [told(1, 2, 3), told(1, 2, 3, epoch=4, version=90000)])
    assert found == Heir(uuid(1), 90000, {2: uuid(2), 3: uuid(3)})


def test_who_came_first_or_finds_nothing_inherits_nothing() -> None:
    assert inherited(founded(), 1, [told(1, 2, 3)]) is None
    assert inherited(replaced(), 2, [told(1, 2, 3)]) is None
    assert inherited(replaced(), 1, [told(2, 3), told(2, 3)]) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "no member has said yet"),
        ([told(1, 2, 3, epoch=2)], "no member has said yet"),
        ([told(1, 2, 3), told(2, 3)], "do not agree yet whether"),
        ([told(1, 2, 3), told(1, 2, 3).model_copy(update={"glusterd": {1: uuid(9)}})], "do not agree yet whether"),
        ([told(1, 2, 3), told(1, 2, 3).model_copy(update={"glusterd": {1: uuid(1), 3: uuid(9)}})], "UUIDs of all"),
        ([told(1, 2, 3).model_copy(update={"glusterd": {1: uuid(2), 2: uuid(2)}})], "UUIDs of all"),
    ],
)
def test_what_is_late_or_not_agreed_on_does_not_count(said: list[Places], why: str) -> None:
    found = inherited(replaced(), 1, said)
    assert isinstance(found, Unknown)
    assert why in found.reason


def test_another_new_one_need_not_be_known_to_all() -> None:
    found = inherited(replaced(4), 1, [told(1, 2, 3), told(1, 2, 3, 4)])
    assert isinstance(found, Heir)
    assert found.peers == {2: uuid(2), 3: uuid(3), 4: uuid(4)}


@pytest.mark.parametrize("said", ["", "../peers", uuid(1).upper() + "x", "\n" + uuid(1)])
def test_only_uuids_are_taken(said: str) -> None:
    with pytest.raises(ValidationError):
        Places(epoch=3, operating_version=100000, glusterd={1: said})
