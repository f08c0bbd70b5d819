"""What `trivet-node slot` and `trivet-node remove` print: the slots of a cluster, and what a removal costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from firstboot.cluster.members import Members, SlotRecord
from firstboot.model import Model


class SlotState(Model):
    """A slot: `member` while a node holds it, `open` to a machine, or `closed`.

    `answers`: its member answers the node that was asked. `only`: the one seed that an open slot takes.
    """

    slot: int
    name: str
    state: Literal["member", "open", "closed"]
    node_id: str | None = None
    seed_id: str | None = None
    address: str | None = None
    answers: bool | None = None
    only: str | None = None
    since: int


class RemovedNode(Model):
    """A node that was a member, of which slot, and the epoch in which it was removed."""

    node_id: str
    slot: int
    epoch: int


class SlotsReport(Model):
    """What `trivet-node slot … --json` and `trivet-node remove --json` print.

    `confirmed`: more than half of the members had this epoch as the latest one; otherwise it is what this node
    knows, and `trouble` says who did not answer. `rotating`: the cluster authority is being replaced.
    """

    format: Literal["trivet-slots"] = "trivet-slots"
    version: str = "1.0"
    cluster_id: str
    epoch: int
    confirmed: bool
    trouble: str = ""
    rotating: bool
    authorities: tuple[str, ...]
    slots: tuple[SlotState, ...]
    removed: tuple[RemovedNode, ...]


class VolumeLoss(Model):
    """What becomes of a volume when a node is removed; `possible` is false where that can't be done."""

    name: str
    text: str
    possible: bool
    hint: str = ""


class VacateReport(Model):
    """What is shown before a node is removed or its slot released; `node_id` is none where nobody holds the slot."""

    format: Literal["trivet-vacate"] = "trivet-vacate"
    version: str = "1.0"
    slot: int
    name: str
    node_id: str | None
    answers: bool
    members: int
    volumes: tuple[VolumeLoss, ...]


def report(
    members: Members,
    *,
    own_id: str,
    answering: Collection[int],
    addresses: Mapping[int, str],
    trouble: str | None = None,
) -> SlotsReport:
    """The report of an epoch; with `trouble` it is not confirmed."""
    return SlotsReport(
        cluster_id=members.cluster_id,
        epoch=members.epoch,
        confirmed=trouble is None,
        trouble=trouble or "",
        rotating=members.in_transition,
        authorities=members.authorities,
        slots=tuple(
            _slot(slot, record, record.node_id == own_id or slot in answering, addresses.get(slot))
            for slot, record in sorted(members.slots.items())
        ),
        removed=tuple(
            RemovedNode(node_id=node, slot=removed.slot, epoch=removed.epoch)
            for node, removed in sorted(members.removed.items(), key=lambda item: item[1].epoch)
        ),
    )


def _slot(slot: int, record: SlotRecord, answers: bool, address: str | None) -> SlotState:
    is_member = record.node_id is not None
    return SlotState(
        slot=slot,
        name=record.name,
        state="member" if is_member else "open" if record.open else "closed",
        node_id=record.node_id,
        seed_id=record.seed_id,
        address=address if is_member else None,
        answers=answers if is_member else None,
        only=record.only,
        since=record.since,
    )
