"""Who is in a founded cluster: the document that its members agree on, epoch by epoch; format trivet-members 1.1."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from firstboot.cluster.ballots import MAX_SLOTS, Proposal, Slot
from firstboot.plan import Name
from firstboot.seed import Id

MAX_REMOVED = 1024
MAX_AUTHORITIES = 8

Epoch = Annotated[int, Field(ge=1, le=10**9)]


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """One slot. `node_id` and `seed_id` are its member's; without one, `open` says whether a machine may claim it.

    `only`: the one seed that may; none: any of this slot that was never used. `since`: the epoch of the last change.
    `zone` and `address` (with prefix length) are as in the plan; they count for slots that the plan does not have.
    """

    name: Name
    node_id: Id | None = None
    seed_id: Id | None = None
    open: bool = False
    only: Id | None = None
    zone: Annotated[str, Field(max_length=64)] = ""
    address: Annotated[str, Field(max_length=64)] | None = None
    since: Epoch = 1


@dataclass(frozen=True, slots=True)
class Removed:
    """A node that was a member: never again; nor does its seed open anything."""

    slot: Slot
    seed_id: Id
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Members:
    """The document of one epoch.

    `authorities`: fingerprints of the trusted cluster authorities, newest first; none before the first one was to be
    replaced. `rotated`: the epoch in which the newest one replaced another.
    """

    cluster_id: Id
    epoch: Epoch
    slots: Annotated[Mapping[Slot, SlotRecord], Field(min_length=1, max_length=MAX_SLOTS)]
    removed: Annotated[Mapping[Id, Removed], Field(max_length=MAX_REMOVED)] = field(default_factory=dict)
    authorities: Annotated[tuple[Id, ...], Field(max_length=MAX_AUTHORITIES)] = ()
    rotated: Annotated[int, Field(ge=0, le=10**9)] = 0

    @property
    def nodes(self) -> dict[str, int]:
        """Every member's node id with its slot."""
        return {record.node_id: slot for slot, record in self.slots.items() if record.node_id is not None}

    @property
    def closed(self) -> tuple[int, ...]:
        """The slots that nobody has and nobody may claim."""
        return tuple(slot for slot, record in self.slots.items() if record.node_id is None and not record.open)

    @property
    def founder(self) -> int:
        """The slot whose member does what one has to do for all: the one that was a member for longest."""
        return self.senior_of(self.nodes.values())

    def senior_of(self, slots: Collection[int]) -> int:
        """The slot of these whose member was one for longest."""
        return min(slots, key=lambda slot: (self.slots[slot].since, slot))

    def first_of(self, own_id: str, answering: Collection[int]) -> int:
        """The slot whose member proposes what any of them could, so that not all do: the lowest of those that answer.

        `answering`: the slots whose members answer this node. Should two see it otherwise, one finds it done.
        """
        return min(slot for node, slot in self.nodes.items() if node == own_id or slot in answering)

    @property
    def in_transition(self) -> bool:
        """Whether the members are on their way from one cluster authority to the next."""
        return self.needs_rotation or len(self.authorities) > 1

    @property
    def needs_rotation(self) -> bool:
        """Whether somebody who is no member any more still has the newest authority's key."""
        return any(removed.epoch > self.rotated for removed in self.removed.values())

    def is_majority(self, nodes: Collection[str]) -> bool:
        """Whether these are more than half of the members."""
        mine = self.nodes
        return 2 * sum(node in mine for node in nodes) > len(mine)

    def seeds(self) -> set[str]:
        """Every seed that was ever used."""
        held = {record.seed_id for record in self.slots.values() if record.seed_id is not None}
        return held | {removed.seed_id for removed in self.removed.values()}


def first(proposal: Proposal, names: Mapping[int, str]) -> Members:
    """The document of epoch 1: what was decided. A slot that was left out is open to its machine.

    `names` has every slot of the plan. The cluster's id is the token of the decision.
    """
    claims, seeds = proposal.claims, proposal.seeds
    slots = {
        slot: SlotRecord(name, claims[slot], seeds[slot]) if slot in claims else SlotRecord(name, open=True)
        for slot, name in sorted(names.items())
    }
    return Members(proposal.token, 1, slots)


def follows(before: Members, after: Members) -> str:
    """Why `after` can't be the epoch that comes after `before`; empty when it can."""
    if (after.cluster_id, after.epoch) != (before.cluster_id, before.epoch + 1):
        return (
            f"epoch {after.epoch} of cluster {after.cluster_id} does not follow {before.epoch} of {before.cluster_id}"
        )
    was, now = before.nodes, after.nodes
    if len(now) < sum(record.node_id is not None for record in after.slots.values()):
        return "one node has two slots"
    if len(was.items() ^ now.items()) > 1:
        return "more than one member changes"
    if not now:
        return "no member is left"
    if not before.removed.items() <= after.removed.items() or not was.keys() - now.keys() <= after.removed.keys():
        return "a removed node is forgotten"
    if now.keys() & after.removed.keys():
        return "a removed node comes back"
    used = [record.seed_id for record in after.slots.values() if record.node_id is not None]
    used += [removed.seed_id for removed in after.removed.values()]
    if len(set(used)) < len(used) or None in used:
        return "one seed has two nodes"
    return ""
