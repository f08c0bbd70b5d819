"""Bricks of a removed node that stay in a volume until a machine comes that replaces it in its slot."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from firstboot.cluster.members import Members
from firstboot.cluster.names import host_name
from firstboot.context import Context
from firstboot.gluster.client import VolumeInfo
from firstboot.gluster.layout import PlacedBrick


@dataclass(frozen=True)
class InPlace:
    """Bricks that stay: a volume can't do without them, but every set of copies has its data elsewhere meanwhile.

    `copies` is how many bricks with data the poorest set keeps, of `planned`; `with_arbiter`: and an arbiter.
    """

    bricks: tuple[PlacedBrick, ...]
    copies: int
    planned: int
    with_arbiter: bool

    @property
    def slots(self) -> tuple[int, ...]:
        """Whose bricks they are."""
        return tuple(sorted({brick.slot for brick in self.bricks}))

    @property
    def text(self) -> str:
        """What the volume has until then."""
        beside = " and the arbiter" if self.with_arbiter else ""
        data = "data copies" if self.with_arbiter else "copies"
        return f"keeps {self.copies} of {self.planned} {data}{beside}"


def in_place(bricks: tuple[PlacedBrick, ...], copies: int, arbiter: int, leaving: Collection[int]) -> InPlace | None:
    """What stays of bricks in Gluster's order; None where a set would keep no brick with data. Pure."""
    size = max(copies, 1)
    sets = [bricks[at : at + size] for at in range(0, len(bricks), size)]
    left = [[brick.slot not in leaving for brick in members] for members in sets]
    data = [sum(kept[: size - arbiter]) for kept in left]
    if not data or min(data) < 1:
        return None
    poorest = data.index(min(data))
    has_arbiter = arbiter > 0 and left[poorest][-1]
    going = tuple(brick for brick in bricks if brick.slot in leaving)
    return InPlace(going, data[poorest], size - arbiter, has_arbiter)


def waiting(volume: str, slots: Collection[int], members: Members) -> tuple[str, str]:
    """What a volume waits for, and what an operator does about it. Pure."""
    names = {slot: members.slots[slot] for slot in slots}
    told = ", ".join(f"{record.name} in slot {slot}" for slot, record in names.items())
    closed = [f"trivet-node slot release {slot}" for slot, record in names.items() if not record.open]
    start = "start a blank machine with a new seed of that slot"
    return (
        f"volume {volume} waits for the machine that replaces {told}",
        f"{'; '.join(closed)}, and {start}" if closed else start,
    )


def users(context: Context, members: Members, slot: int, volumes: Collection[VolumeInfo]) -> tuple[VolumeInfo, ...]:
    """The volumes that have a brick on what was this slot's node."""
    host = host_name(members.slots[slot].name, context.claimed_seed.site.name)
    return tuple(info for info in volumes if any(brick.partition(":")[0] == host for brick in info.bricks))
