"""Which bricks a volume has, in which order: pure, so that every node works out the same from the plan alone."""

from __future__ import annotations

from dataclasses import dataclass

from firstboot.errors import BadInputError
from firstboot.plan import Plan, SlotPlan, VolumePlan, VolumeType


@dataclass(frozen=True)
class PlacedBrick:
    """Brick `index` of a volume on the node of a slot."""

    slot: int
    index: int


@dataclass(frozen=True)
class Layout:
    """A volume's shape for `gluster volume create`; each `set_size` neighbours among the bricks are copies."""

    words: tuple[str, ...]
    set_size: int
    arbiter: int
    bricks: tuple[PlacedBrick, ...]


def volume_layout(plan: Plan, volume: VolumePlan) -> Layout:
    """Lay a volume out over the slots that the site was founded of.

    Copies are always on distinct nodes, and in distinct zones where there are some.
    Raises BadInputError when the bricks are no whole number of sets, or a set would need one node twice.
    """
    count = plan.brick_class(volume.bricks).count
    set_size = 1 if volume.type is VolumeType.DISTRIBUTE else volume.replica
    slots = _by_zone(tuple(slot for slot in plan.slots if not slot.later))
    total = len(slots) * count
    if set_size > len(slots):
        raise BadInputError(
            f"volume {volume.name}: replica {set_size} needs {set_size} slots; there are {len(slots)}"
        )
    if total % set_size:
        raise BadInputError(
            f"volume {volume.name}: {len(slots)} slots x {count} disk(s) = {total} bricks, no multiple of {set_size}",
            hint="change the number of slots, or the count of the brick class",
        )
    # Disk by disk around the nodes: any `set_size` neighbours are on distinct nodes.
    placed = [PlacedBrick(slot.number, index) for index in range(count) for slot in slots]
    sets = [placed[at : at + set_size] for at in range(0, total, set_size)]
    if volume.type is VolumeType.ARBITER:
        # The last of a set is its arbiter: turn each set, so that arbiters are spread over the nodes.
        sets = [members[k % set_size :] + members[: k % set_size] for k, members in enumerate(sets)]
    return Layout(
        words=_words(volume, set_size),
        set_size=set_size,
        arbiter=1 if volume.type is VolumeType.ARBITER else 0,
        bricks=tuple(brick for members in sets for brick in members),
    )


def _words(volume: VolumePlan, set_size: int) -> tuple[str, ...]:
    if set_size == 1:
        return ()
    arbiter = ("arbiter", "1") if volume.type is VolumeType.ARBITER else ()
    return ("replica", str(set_size), *arbiter)


def _by_zone(slots: tuple[SlotPlan, ...]) -> tuple[SlotPlan, ...]:
    """The slots by number; with zones, in turn one of each, so that neighbours are in different ones."""
    zones: dict[str, list[SlotPlan]] = {}
    for slot in sorted(slots, key=lambda s: s.number):
        zones.setdefault(slot.zone, []).append(slot)
    longest = max((len(members) for members in zones.values()), default=0)
    return tuple(members[row] for row in range(longest) for members in zones.values() if row < len(members))
