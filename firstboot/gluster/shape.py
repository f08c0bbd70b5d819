"""What of a layout can stand with the members that there are, and how it grows once the others come: pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from firstboot.gluster.layout import Layout, PlacedBrick

LEAST_COPIES = 2


@dataclass(frozen=True)
class Shape:
    """A volume as it can be made now: words for `gluster volume create`, its bricks, and those that it lacks."""

    words: tuple[str, ...]
    copies: int
    arbiter: int
    bricks: tuple[PlacedBrick, ...]
    lacking: tuple[PlacedBrick, ...]


@dataclass(frozen=True)
class Growth:
    """Bricks to add to a volume: words for `gluster volume add-brick` before them."""

    words: tuple[str, ...]
    bricks: tuple[PlacedBrick, ...]


def sets(layout: Layout) -> tuple[tuple[PlacedBrick, ...], ...]:
    """The layout's bricks, set by set; the bricks of a set are copies of each other."""
    size = layout.set_size
    return tuple(layout.bricks[at : at + size] for at in range(0, len(layout.bricks), size))


def shape(layout: Layout, present: Collection[int]) -> Shape | None:
    """The fullest shape with bricks on these slots alone; None when none keeps what the plan is for.

    Gluster wants as many copies in each set. If all sets lack as many bricks, the volume is made with that many fewer
    copies, two at least; otherwise of the whole sets alone, which is less space. A set of two data bricks and an
    arbiter can do without the arbiter, not without a data brick: an arbiter has no data to serve.
    """
    whole = [members for members in sets(layout) if all(brick.slot in present for brick in members)]
    reduced = [tuple(brick for brick in members if brick.slot in present) for members in sets(layout)]
    copies = {len(members) for members in reduced}
    if len(whole) == len(reduced):
        return _shape(layout, whole, layout.set_size, layout.arbiter)
    even = len(copies) == 1 and LEAST_COPIES <= min(copies) < layout.set_size
    if even and all(_keeps_data(layout, full, left) for full, left in zip(sets(layout), reduced, strict=True)):
        return _shape(layout, reduced, copies.pop(), 0)
    return _shape(layout, whole, layout.set_size, layout.arbiter) if whole else None


def growth(layout: Layout, found: Collection[PlacedBrick], copies: int, present: Collection[int]) -> Growth | None:
    """What to add next to a volume of these bricks; None when nothing is lacking, or what is can't be added yet.

    First the copies of the sets that it has, all at once as Gluster wants it; then whole sets.
    """
    begun = [members for members in sets(layout) if any(brick in found for brick in members)]
    missing = [brick for members in begun for brick in members if brick not in found]
    if missing:
        if copies == layout.set_size or any(brick.slot not in present for brick in missing):
            return None
        return Growth(layout.words, tuple(missing))
    others = [members for members in sets(layout) if members not in begun]
    ready = [members for members in others if all(brick.slot in present for brick in members)]
    return Growth((), tuple(brick for members in ready for brick in members)) if ready else None


def is_part_of(layout: Layout, found: tuple[PlacedBrick, ...], copies: int, arbiter: int) -> bool:
    """Whether a volume of these bricks, in Gluster's order, is this layout, or what can stand of it."""
    if copies < 1 or len(found) % copies or len(set(found)) < len(found):
        return False
    planned = {frozenset(members): members for members in sets(layout)}
    for at in range(0, len(found), copies):
        held = found[at : at + copies]
        members = next((members for known, members in planned.items() if known >= set(held)), None)
        if members is None:
            return False
        if copies == layout.set_size:
            if arbiter != layout.arbiter or (arbiter and held[-1] != members[-1]):
                return False
        elif arbiter or copies < LEAST_COPIES or not _keeps_data(layout, members, held):
            return False
    return True


def _keeps_data(layout: Layout, full: tuple[PlacedBrick, ...], left: tuple[PlacedBrick, ...]) -> bool:
    return layout.arbiter == 0 or full[-1] not in left


def _shape(layout: Layout, chosen: list[tuple[PlacedBrick, ...]], copies: int, arbiter: int) -> Shape:
    bricks = tuple(brick for members in chosen for brick in members)
    words = layout.words if copies == layout.set_size else ("replica", str(copies))
    return Shape(words, copies, arbiter, bricks, tuple(brick for brick in layout.bricks if brick not in bricks))
