"""Bricks of volumes over slots: always whole sets on distinct nodes, and the same everywhere."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.errors import BadInputError
from firstboot.gluster.layout import PlacedBrick, volume_layout
from firstboot.plan import VolumeType
from tests.unit.firstboot.gluster.formed import plan


def sets(slots: int, **shape: object) -> list[list[int]]:
    """The slots of each set."""
    made = plan(slots, **shape)  # type: ignore[arg-type]
    layout = volume_layout(made, made.volumes[0])
    nodes = [brick.slot for brick in layout.bricks]
    return [nodes[at : at + layout.set_size] for at in range(0, len(nodes), layout.set_size)]


def test_replica_3_on_three_nodes() -> None:
    made = plan(3)
    layout = volume_layout(made, made.volumes[0])
    assert layout.words == ("replica", "3")
    assert layout.bricks == tuple(PlacedBrick(n, 0) for n in (1, 2, 3))


def test_arbiter() -> None:
    made = plan(3, kind=VolumeType.ARBITER)
    layout = volume_layout(made, made.volumes[0])
    assert (layout.words, layout.arbiter) == (("replica", "3", "arbiter", "1"), 1)


def test_arbiters_are_spread() -> None:
    assert [members[-1] for members in sets(3, kind=VolumeType.ARBITER, count=3)] == [3, 1, 2]


def test_one_node_alone() -> None:
    made = plan(1, kind=VolumeType.DISTRIBUTE, replica=1)
    layout = volume_layout(made, made.volumes[0])
    assert (layout.words, layout.bricks) == ((), (PlacedBrick(1, 0),))


def test_more_sets_become_distributed_replicate() -> None:
    assert sets(6) == [[1, 2, 3], [4, 5, 6]]
    assert sets(3, count=2) == [[1, 2, 3], [1, 2, 3]]
    assert sets(4, count=3) == [[1, 2, 3], [4, 1, 2], [3, 4, 1], [2, 3, 4]]


def test_copies_are_in_different_zones() -> None:
    assert sets(6, zones=("a", "a", "b", "b", "c", "c")) == [[1, 3, 5], [2, 4, 6]]
    assert sets(4, replica=2, zones=("a", "a", "b", "b")) == [[1, 3], [2, 4]]


@pytest.mark.parametrize(("slots", "count"), [(4, 1), (5, 1), (7, 2)])
def test_bricks_left_over_are_refused(slots: int, count: int) -> None:
    with pytest.raises(BadInputError, match="no multiple of 3"):
        sets(slots, count=count)


def test_too_few_nodes_are_refused() -> None:
    with pytest.raises(BadInputError, match="replica 3 needs 3 slots; there are 2"):
        sets(2, count=3)


@given(
    slots=st.integers(1, 24),
    count=st.integers(1, 6),
    replica=st.integers(1, 3),
    kind=st.sampled_from(VolumeType),
    zones=st.integers(1, 5),
)
def test_every_layout_is_whole(slots: int, count: int, replica: int, kind: VolumeType, zones: int) -> None:
    names = tuple(f"z{n % zones}" for n in range(slots))
    made = plan(slots, kind=kind, replica=replica, count=count, zones=names)
    try:
        layout = volume_layout(made, made.volumes[0])
    except BadInputError:
        assert replica > slots or (slots * count) % replica
        return
    assert Counter(layout.bricks) == Counter(PlacedBrick(s, i) for s in range(1, slots + 1) for i in range(count))
    for at in range(0, len(layout.bricks), layout.set_size):
        nodes = [brick.slot for brick in layout.bricks[at : at + layout.set_size]]
        assert len(set(nodes)) == layout.set_size
