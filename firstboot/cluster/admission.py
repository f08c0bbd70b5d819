"""Whether a founded cluster admits a machine that asks for its slot, and which member sees to it; pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from firstboot.cluster.changes import ClaimSlot, Refusal
from firstboot.cluster.members import Members


@dataclass(frozen=True, slots=True)
class Admitted:
    """It is a member already."""


@dataclass(frozen=True, slots=True)
class Sponsor:
    """This node is to propose it."""

    change: ClaimSlot


@dataclass(frozen=True, slots=True)
class Pending:
    """The member of that slot is to propose it."""

    slot: int
    name: str


def consider(
    members: Members, own_id: str, answering: Collection[int], claim: ClaimSlot
) -> Admitted | Sponsor | Pending | Refusal:
    """What becomes of a proved machine's claim. `answering`: the slots whose members answer this node."""
    outcome = claim.apply(members)
    if isinstance(outcome, Refusal):
        return outcome
    if outcome == members:
        return Admitted()
    slot = members.first_of(own_id, answering)
    if members.slots[slot].node_id == own_id:
        return Sponsor(claim)
    return Pending(slot, members.slots[slot].name)
