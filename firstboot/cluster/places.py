"""Which UUID each slot's node has in the pool, and which of them a machine takes that comes instead of another."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from firstboot.cluster.ballots import MAX_SLOTS
from firstboot.cluster.likeness import UUID
from firstboot.cluster.members import Epoch, Members

PlaceId = Annotated[str, StringConstraints(pattern=f"^{UUID}$")]


class Places(BaseModel):
    """The pool as one member's glusterd has it: slot → UUID, that member's own slot included.

    `epoch`: of the members' document when it was looked at. `operating_version`: of the whole pool, as glusterd.info
    has it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: Epoch
    operating_version: int = Field(ge=1, le=10**9)
    glusterd: dict[int, PlaceId] = Field(max_length=MAX_SLOTS)


@dataclass(frozen=True)
class Heir:
    """The place that a new machine takes: its UUID, and by slot those of the others that it meets there."""

    uuid: str
    operating_version: int
    peers: Mapping[int, str]


@dataclass(frozen=True)
class Unknown:
    """Whether there is such a place can't be told yet, and why."""

    reason: str


def came_instead(members: Members, slot: int) -> bool:
    """Whether a slot had another node before. Pure."""
    return any(removed.slot == slot for removed in members.removed.values())


def inherited(members: Members, slot: int, told: Collection[Places]) -> Heir | Unknown | None:
    """What this slot's member has of its former node; None when that left nothing in the pool. Pure.

    `told` is what the other members say of their own. Only what is as late as the epoch in which this node became a
    member counts: since then nobody takes the place out of the pool.
    """
    if not came_instead(members, slot):
        return None
    known = [places for places in told if places.epoch >= members.slots[slot].since]
    if not known:
        return Unknown("no member has said yet whether its slot's former node has a place in the pool")
    found: dict[int, set[str | None]] = {}
    for number in {slot, *members.nodes.values()}:
        found[number] = {places.glusterd.get(number) for places in known}
    if len(found[slot]) > 1:
        return Unknown("the members do not agree yet whether its slot's former node has a place in the pool")
    (uuid,) = found.pop(slot)
    if uuid is None:
        return None
    # Another one that is new, too, is not known to all of them yet.
    peers = {number: uuids - {None} for number, uuids in found.items()}
    if any(len(uuids) > 1 or uuid in uuids for uuids in peers.values()):
        return Unknown("the members do not agree on the glusterd UUIDs of all of them")
    return Heir(
        uuid,
        min(places.operating_version for places in known),
        {number: next(iter(uuids)) for number, uuids in sorted(peers.items()) if uuids},  # type: ignore[misc]
    )
