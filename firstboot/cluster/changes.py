"""Changes of the members' document: pure functions of its latest epoch, or why not; each done twice is done once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from firstboot.cluster.ballots import MAX_SLOTS
from firstboot.cluster.founder import short
from firstboot.cluster.members import MAX_AUTHORITIES, MAX_REMOVED, Members, Removed, SlotRecord


class Why(StrEnum):
    """The kinds of refusal, for programs."""

    UNKNOWN_SLOT = "unknown-slot"
    SLOT_EXISTS = "slot-exists"
    SLOT_NUMBER = "slot-number"
    SLOT_HELD = "slot-held"
    SLOT_CLOSED = "slot-closed"
    SEED_USED = "seed-used"
    OTHER_SEED = "other-seed"
    NODE_REMOVED = "node-removed"
    NODE_MEMBER = "node-member"
    UNKNOWN_NODE = "unknown-node"
    LAST_MEMBER = "last-member"
    AUTHORITY_KNOWN = "authority-known"
    AUTHORITY_CHANGED = "authority-changed"
    AUTHORITY_NEWEST = "authority-newest"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a change can't be made, and what to do instead."""

    why: Why
    reason: str
    hint: str = ""


Outcome = Members | Refusal
"""The same document: there is nothing to change."""


@dataclass(frozen=True, slots=True)
class AddSlot:
    """A slot that the plan does not have, open to the seed `only`, or to any seed of its number."""

    number: int
    name: str
    only: str | None = None
    zone: str = ""
    address: str | None = None

    def apply(self, members: Members) -> Outcome:
        known = members.slots.get(self.number)
        if known is not None:
            return members if self._is_done(known) else self._differs(known)
        if self.number != max(members.slots) + 1 or self.number > MAX_SLOTS:
            reason = f"the next slot is {max(members.slots) + 1}, not {self.number}; the most is {MAX_SLOTS}"
            return Refusal(Why.SLOT_NUMBER, reason)
        if self.name in (record.name for record in members.slots.values()):
            return Refusal(Why.SLOT_EXISTS, f"another slot has the name {self.name}")
        if self.only in members.seeds():
            return _used(self.number)
        record = SlotRecord(self.name, open=True, only=self.only, zone=self.zone, address=self.address)
        return _with(members, self.number, record)

    def _is_same(self, known: SlotRecord) -> bool:
        return (known.name, known.zone, known.address) == (self.name, self.zone, self.address)

    def _is_done(self, known: SlotRecord) -> bool:
        """The slot is as it was to be: open to that seed, or taken by a machine with it."""
        if known.node_id is not None:
            return self._is_same(known) and self.only in (None, known.seed_id)
        return self._is_same(known) and known.open and known.only == self.only

    def _differs(self, known: SlotRecord) -> Refusal:
        if known.name != self.name:
            return Refusal(Why.SLOT_EXISTS, f"slot {self.number} is {known.name} already")
        if not self._is_same(known):
            there = f"zone {known.zone or 'none'}, address {known.address or 'none'}"
            return Refusal(Why.SLOT_EXISTS, f"slot {self.number} ({known.name}) is there already, with {there}")
        if known.node_id is not None:
            return _held(self.number, known.node_id)
        hint = f"trivet-node slot release {self.number}" + (f" --seed {self.only}" if self.only else "")
        if not known.open:
            return Refusal(Why.SLOT_CLOSED, f"slot {self.number} ({known.name}) is there already, and closed", hint)
        to = f"seed {known.only}" if known.only else "any seed of its number"
        return Refusal(Why.OTHER_SEED, f"slot {self.number} ({known.name}) is there already, open to {to}", hint)


@dataclass(frozen=True, slots=True)
class ReleaseSlot:
    """Open a slot to a new machine, with the seed `only`, or with any that was not used. Who held it is removed.

    `node_id` is who held it when the operator decided; none: nobody. A later holder is not touched.
    """

    slot: int
    node_id: str | None
    only: str | None = None

    def apply(self, members: Members) -> Outcome:
        known = members.slots.get(self.slot)
        if known is None:
            return Refusal(Why.UNKNOWN_SLOT, f"the cluster has no slot {self.slot}")
        if known.node_id not in (None, self.node_id):
            return _held(self.slot, known.node_id)
        if known.open and known.only == self.only:
            return members
        if self.only in members.seeds():
            return _used(self.slot)
        return _vacate(members, self.slot, replace(known, node_id=None, seed_id=None, open=True, only=self.only))


@dataclass(frozen=True, slots=True)
class CloseSlot:
    """Let no machine claim an open slot."""

    slot: int

    def apply(self, members: Members) -> Outcome:
        known = members.slots.get(self.slot)
        if known is None:
            return Refusal(Why.UNKNOWN_SLOT, f"the cluster has no slot {self.slot}")
        if known.node_id is not None:
            return _held(self.slot, known.node_id)
        return _with(members, self.slot, replace(known, open=False, only=None)) if known.open else members


@dataclass(frozen=True, slots=True)
class ClaimSlot:
    """A machine that proved its seed and its node key becomes the member of an open slot."""

    slot: int
    seed_id: str
    node_id: str

    def apply(self, members: Members) -> Outcome:
        known = members.slots.get(self.slot)
        if known is None:
            return Refusal(Why.UNKNOWN_SLOT, f"the cluster has no slot {self.slot}")
        if (known.node_id, known.seed_id) == (self.node_id, self.seed_id):
            return members
        if self.node_id in members.removed:
            return Refusal(
                Why.NODE_REMOVED,
                f"node {short(self.node_id)} was removed in epoch {members.removed[self.node_id].epoch}",
                "wipe the machine and give it a new seed",
            )
        if self.node_id in members.nodes:
            slot = members.nodes[self.node_id]
            return Refusal(Why.NODE_MEMBER, f"node {short(self.node_id)} is the member of slot {slot}")
        if known.node_id is not None:
            return _held(self.slot, known.node_id)
        if not known.open:
            release = f"trivet-node slot release {self.slot}"
            return Refusal(Why.SLOT_CLOSED, f"slot {self.slot} is closed", f"an operator can open it: {release}")
        if self.seed_id in members.seeds():
            return _used(self.slot)
        if known.only not in (None, self.seed_id):
            reason = f"slot {self.slot} is open to another seed than {short(self.seed_id)}"
            return Refusal(Why.OTHER_SEED, reason, "attach the seed that was made last for it")
        record = replace(known, node_id=self.node_id, seed_id=self.seed_id, open=False, only=None)
        return _with(members, self.slot, record)


@dataclass(frozen=True, slots=True)
class RemoveNode:
    """A node is no member any more, and never again; its slot stays closed."""

    node_id: str

    def apply(self, members: Members) -> Outcome:
        if self.node_id in members.removed:
            return members
        slot = members.nodes.get(self.node_id)
        if slot is None:
            return Refusal(Why.UNKNOWN_NODE, f"the cluster has no member {short(self.node_id)}")
        return _vacate(members, slot, replace(members.slots[slot], node_id=None, seed_id=None))


@dataclass(frozen=True, slots=True)
class RotateAuthority:
    """Trust a new cluster authority before `before`, the newest one until now; empty: there is none yet."""

    fingerprint: str
    before: str

    def apply(self, members: Members) -> Outcome:
        newest = members.authorities[0] if members.authorities else ""
        if newest == self.fingerprint:
            return members
        if self.fingerprint in members.authorities:
            return Refusal(Why.AUTHORITY_KNOWN, f"authority {short(self.fingerprint)} is an older one already")
        if newest != self.before:
            reason = f"the newest authority is {short(newest) or 'none'}, not {short(self.before) or 'none'}"
            return Refusal(Why.AUTHORITY_CHANGED, reason, "another operator was faster: look again")
        if len(members.authorities) == MAX_AUTHORITIES:
            return Refusal(Why.FULL, f"{MAX_AUTHORITIES} authorities are trusted: that is the most")
        after = _next(members, authorities=(self.fingerprint, *members.authorities))
        return replace(after, rotated=after.epoch) if newest else after


@dataclass(frozen=True, slots=True)
class RetireAuthority:
    """Trust an older cluster authority no more."""

    fingerprint: str

    def apply(self, members: Members) -> Outcome:
        if self.fingerprint not in members.authorities:
            return members
        if self.fingerprint == members.authorities[0]:
            reason = f"authority {short(self.fingerprint)} is the newest one"
            return Refusal(Why.AUTHORITY_NEWEST, reason, "rotate the authority first")
        left = tuple(known for known in members.authorities if known != self.fingerprint)
        return _next(members, authorities=left)


Change = AddSlot | ReleaseSlot | CloseSlot | ClaimSlot | RemoveNode | RotateAuthority | RetireAuthority


def _next(
    members: Members,
    *,
    slots: Mapping[int, SlotRecord] | None = None,
    removed: Mapping[str, Removed] | None = None,
    authorities: tuple[str, ...] | None = None,
) -> Members:
    return Members(
        members.cluster_id,
        members.epoch + 1,
        members.slots if slots is None else slots,
        members.removed if removed is None else removed,
        members.authorities if authorities is None else authorities,
        members.rotated,
    )


def _with(members: Members, slot: int, record: SlotRecord) -> Members:
    return _next(members, slots={**members.slots, slot: replace(record, since=members.epoch + 1)})


def _vacate(members: Members, slot: int, record: SlotRecord) -> Outcome:
    """The slot as in the record; its member, if it has one, is removed."""
    before = members.slots[slot]
    if before.node_id is None or before.seed_id is None:
        return _with(members, slot, record)
    if len(members.nodes) == 1:
        return Refusal(Why.LAST_MEMBER, f"node {short(before.node_id)} is the last member")
    if len(members.removed) == MAX_REMOVED:
        return Refusal(Why.FULL, f"{MAX_REMOVED} nodes were removed: that is the most that is remembered")
    after = _with(members, slot, record)
    removed = Removed(slot, before.seed_id, after.epoch)
    return replace(after, removed={**members.removed, before.node_id: removed})


def _held(slot: int, node_id: str | None) -> Refusal:
    return Refusal(
        Why.SLOT_HELD,
        f"slot {slot} is held by node {short(node_id or '')}",
        f"an operator can release it: trivet-node slot release {slot}",
    )


def _used(slot: int) -> Refusal:
    hint = f"make a new one on the workstation: trivet site seed SITE {slot} -o FILE --again"
    return Refusal(Why.SEED_USED, f"that seed of slot {slot} was used before", hint)
