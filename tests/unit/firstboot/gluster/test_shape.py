"""Which shape a volume gets while members are missing, and that it grows to the planned one, whoever comes when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.gluster.layout import Layout, PlacedBrick
from firstboot.gluster.shape import growth, is_part_of, sets, shape


def layout(size: int, slots: int, *, arbiter: int = 0, disks: int = 1) -> Layout:
    placed = tuple(PlacedBrick(slot, index) for index in range(disks) for slot in range(1, slots + 1))
    words = ("replica", str(size), *(("arbiter", "1") if arbiter else ())) if size > 1 else ()
    return Layout(words, size, arbiter, placed)


REPLICA = layout(3, 3)
ARBITER = layout(3, 3, arbiter=1)
SIX = layout(3, 6)
SPREAD = layout(1, 3)


def slots(bricks: tuple[PlacedBrick, ...]) -> list[int]:
    return [brick.slot for brick in bricks]


@pytest.mark.parametrize(
    ("plan", "present", "words", "bricks"),
    [
        (REPLICA, {1, 2, 3}, ("replica", "3"), [1, 2, 3]),
        (REPLICA, {1, 2}, ("replica", "2"), [1, 2]),
        (REPLICA, {2, 3}, ("replica", "2"), [2, 3]),
        (ARBITER, {1, 2, 3}, ("replica", "3", "arbiter", "1"), [1, 2, 3]),
        (ARBITER, {1, 2}, ("replica", "2"), [1, 2]),
        (SIX, {1, 2, 3, 4, 5}, ("replica", "3"), [1, 2, 3]),
        (SIX, {1, 2, 4, 5}, ("replica", "2"), [1, 2, 4, 5]),
        (SPREAD, {1, 3}, (), [1, 3]),
        (layout(3, 3, disks=2), {1, 3}, ("replica", "2"), [1, 3, 1, 3]),
    ],
)
def test_the_fullest_shape(plan: Layout, present: set[int], words: tuple[str, ...], bricks: list[int]) -> None:
    made = shape(plan, present)
    assert made is not None
    assert (made.words, slots(made.bricks)) == (words, bricks)
    assert set(made.bricks) | set(made.lacking) == set(plan.bricks)


@pytest.mark.parametrize(
    ("plan", "present"),
    [(REPLICA, {1}), (REPLICA, set()), (ARBITER, {1, 3}), (ARBITER, {2, 3}), (SIX, {1, 2, 4}), (layout(2, 2), {1})],
)
def test_no_shape_that_betrays_the_plan(plan: Layout, present: set[int]) -> None:
    assert shape(plan, present) is None


def test_a_third_copy_is_added_with_the_plans_words() -> None:
    made = shape(ARBITER, {1, 2})
    assert made is not None
    assert growth(ARBITER, made.bricks, made.copies, {1, 2}) is None
    grown = growth(ARBITER, made.bricks, made.copies, {1, 2, 3})
    assert grown is not None
    assert (grown.words, slots(grown.bricks)) == (("replica", "3", "arbiter", "1"), [3])


def test_a_whole_set_is_added_without_words() -> None:
    grown = growth(SIX, SIX.bricks[:3], 3, range(1, 7))
    assert grown is not None
    assert (grown.words, slots(grown.bricks)) == ((), [4, 5, 6])


@pytest.mark.parametrize(
    ("plan", "found", "copies", "arbiter", "is_part"),
    [
        (REPLICA, [1, 2, 3], 3, 0, True),
        (REPLICA, [2, 3, 1], 3, 0, True),
        (REPLICA, [1, 2], 2, 0, True),
        (REPLICA, [1], 1, 0, False),
        (REPLICA, [1, 2, 3], 3, 1, False),
        (REPLICA, [1, 1, 2], 3, 0, False),
        (ARBITER, [1, 2, 3], 3, 1, True),
        (ARBITER, [3, 1, 2], 3, 1, False),
        (ARBITER, [1, 3], 2, 0, False),
        (SIX, [4, 5, 6, 1, 2, 3], 3, 0, True),
        (SIX, [1, 2, 4, 3, 5, 6], 3, 0, False),
        (SIX, [1, 2, 3], 3, 0, True),
        (SPREAD, [3, 1], 1, 0, True),
        (REPLICA, [], 0, 0, False),
    ],
)
def test_what_is_part_of_a_plan(plan: Layout, found: list[int], copies: int, arbiter: int, is_part: bool) -> None:
    assert is_part_of(plan, tuple(PlacedBrick(slot, 0) for slot in found), copies, arbiter) is is_part


@given(
    size=st.sampled_from([1, 2, 3]),
    groups=st.integers(1, 3),
    disks=st.integers(1, 2),
    arbiter=st.booleans(),
    data=st.data(),
)
def test_it_grows_to_the_plan_whoever_comes_when(
    size: int, groups: int, disks: int, arbiter: bool, data: st.DataObject
) -> None:
    plan = layout(size, size * groups, arbiter=int(arbiter and size == 3), disks=disks)
    everybody = list(range(1, size * groups + 1))
    present = set(data.draw(st.lists(st.sampled_from(everybody), unique=True)))
    made = shape(plan, present)
    found, copies = (list(made.bricks), made.copies) if made else ([], 0)
    for late in data.draw(st.permutations([slot for slot in everybody if slot not in present])):
        present.add(late)
        if not found:
            made = shape(plan, present)
            found, copies = (list(made.bricks), made.copies) if made else ([], 0)
        while found and (grown := growth(plan, found, copies, present)) is not None:
            assert all(brick.slot in present and brick not in found for brick in grown.bricks)
            found += grown.bricks
            copies = plan.set_size if grown.words else copies
    assert sorted(found, key=lambda b: (b.slot, b.index)) == sorted(plan.bricks, key=lambda b: (b.slot, b.index))
    assert copies == plan.set_size
    assert len(sets(plan)) == groups * disks
