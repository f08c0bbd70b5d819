"""The orders `slot` and `remove`: an operator's changes of a founded cluster's slots and members, on any member."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from firstboot.cluster.changes import AddSlot, Change, CloseSlot, ReleaseSlot, RemoveNode
from firstboot.cluster.council import Council, NotMadeError
from firstboot.cluster.founder import short
from firstboot.cluster.losses import losses
from firstboot.cluster.members import Members
from firstboot.cluster.slotreport import SlotsReport, VacateReport, report
from firstboot.context import Context
from firstboot.control import Progress
from firstboot.errors import BadInputError, RefusedError
from firstboot.plan import Name
from firstboot.seed import Id

NODE_ID = re.compile(r"[0-9a-f]{8,32}")
NO_CLUSTER_HINT = "trivet-node status says what this node is doing"


class Assembled(Protocol):
    """What an order needs of the membership of the running agent."""

    @property
    def council(self) -> Council | None:
        """This node's part in the members' document."""

    @property
    def answering(self) -> frozenset[int]:
        """The slots whose members answer this node."""


class SlotOrders:
    """Carries the orders out. Every change is made by more than half of the members, or not at all."""

    def __init__(self, context: Context, membership: Assembled) -> None:
        self._context = context
        self._membership = membership

    def slots(self, arguments: Mapping[str, object], progress: Progress) -> SlotsReport:
        """The latest epoch; what this node knows, where too few members answer."""
        try:
            return self._report(self._council().make(None, _slowly(progress)))
        except NotMadeError as error:
            known = self._council().members
            assert known is not None, "a council without members was refused"
            return self._report(known, trouble=error.message)

    def add(self, arguments: Mapping[str, object], progress: Progress) -> SlotsReport:
        """Another slot, after the last one, open to a machine."""
        number, name = arguments.get("number"), arguments.get("name")
        if not isinstance(number, int) or not isinstance(name, str):
            raise BadInputError("name the slot: its number and its name", hint="trivet-node slot add 4 node4")
        seed_id = _text(arguments, "seed")
        change = AddSlot(
            number,
            _checked(Name, name, "a slot's name", "small letters, digits and dashes, a letter first"),
            _checked(Id, seed_id, "a seed's id", "trivet site slot list SITE --json has it") if seed_id else None,
            _text(arguments, "zone") or "",
            _text(arguments, "address"),
        )
        return self._make(change, progress)

    def close(self, arguments: Mapping[str, object], progress: Progress) -> SlotsReport:
        """Let no machine claim an open slot."""
        return self._make(CloseSlot(_slot(self._latest(progress), _wanted(arguments))), progress)

    def look(self, arguments: Mapping[str, object], progress: Progress) -> VacateReport:
        """What removing a node, or the node of a slot, would mean; changes nothing."""
        members = self._latest(progress)
        slot, node_id = _to_remove(members, _wanted(arguments))
        own_slot = members.nodes.get(self._context.node_id or "")
        return VacateReport(
            slot=slot,
            name=members.slots[slot].name,
            node_id=node_id,
            answers=node_id is not None and slot in {own_slot, *self._membership.answering},
            members=len(members.nodes),
            volumes=losses(self._context, members, slot) if node_id is not None else (),
        )

    def release(self, arguments: Mapping[str, object], progress: Progress) -> SlotsReport:
        """Open a slot to a new machine; whoever holds it is removed."""
        members, seed_id = self._latest(progress), _text(arguments, "seed")
        slot = _slot(members, _wanted(arguments))
        holder = members.slots[slot].node_id
        _require_confirmed(arguments, members, slot, holder)
        self._require_removable(members, holder)
        only = _checked(Id, seed_id, "a seed's id", "trivet site slot list SITE --json has it") if seed_id else None
        return self._make(ReleaseSlot(slot, holder, only), progress)

    def remove(self, arguments: Mapping[str, object], progress: Progress) -> SlotsReport:
        """End a node's membership for good; its slot stays closed."""
        members = self._latest(progress)
        slot, node_id = _to_remove(members, _wanted(arguments))
        _require_confirmed(arguments, members, slot, node_id)
        if node_id is None:
            return self._report(members)  # done before
        self._require_removable(members, node_id)
        return self._make(RemoveNode(node_id), progress)

    def _make(self, change: Change, progress: Progress) -> SlotsReport:
        return self._report(self._council().make(change, _slowly(progress)))

    def _require_removable(self, members: Members, node_id: str | None) -> None:
        if node_id is None:
            return
        if node_id == self._context.node_id:
            raise RefusedError("this node can't remove itself", hint="give the order on another member")
        for loss in losses(self._context, members, members.nodes[node_id]):
            if not loss.possible:
                raise RefusedError(f"{loss.text}: nothing was changed", hint=loss.hint)

    def _latest(self, progress: Progress) -> Members:
        """The members as they are: an operator's words are about those, whatever this node missed.

        Raises NotMadeError when too few answer.
        """
        progress("asking the members")
        return self._council().make(None, _slowly(progress))

    def _council(self) -> Council:
        council = self._membership.council
        if council is None or council.members is None:
            raise RefusedError("this node is in no cluster yet", hint=NO_CLUSTER_HINT)
        return council

    def _report(self, members: Members, trouble: str | None = None) -> SlotsReport:
        return report(
            members,
            own_id=self._context.node_id or "",
            answering=self._membership.answering,
            addresses={slot: member.address for slot, member in self._context.members.items()},
            trouble=trouble,
        )


def _wanted(arguments: Mapping[str, object]) -> str:
    return str(arguments.get("slot", ""))[:64]


def _slot(members: Members, wanted: str) -> int:
    """The slot that an operator named by its number, its name or its member's node id."""
    for slot, record in members.slots.items():
        if wanted in (str(slot), record.name):
            return slot
    node_id = _by_prefix(wanted, members.nodes)
    if node_id is not None:
        return members.nodes[node_id]
    slots = ", ".join(f"{slot} ({record.name})" for slot, record in sorted(members.slots.items()))
    raise BadInputError(f"the cluster has no slot or member {wanted}".rstrip(), hint=f"slots: {slots}")


def _to_remove(members: Members, wanted: str) -> tuple[int, str | None]:
    """The slot, and the node that would be removed from it; none where that was done. Removed ones have ids, too."""
    removed = _by_prefix(wanted, members.nodes.keys() | members.removed.keys())
    if (
        removed is not None
        and removed in members.removed
        and all(record.name != wanted for record in members.slots.values())
    ):
        return members.removed[removed].slot, None
    slot = _slot(members, wanted)
    return slot, members.slots[slot].node_id


def _require_confirmed(arguments: Mapping[str, object], members: Members, slot: int, holder: str | None) -> None:
    """The node is the one that was shown to the operator: `node_id`, empty for nobody, null when nobody was asked."""
    shown = arguments.get("node_id")
    if shown is None or shown == (holder or ""):
        return
    now = f"node {short(holder)} holds it now" if holder else "nobody holds it now"
    raise RefusedError(
        f"slot {slot} ({members.slots[slot].name}) changed hands meanwhile, {now}: nothing was changed",
        hint="look at it again: trivet-node slot list",
    )


def _by_prefix(wanted: str, nodes: Collection[str]) -> str | None:
    """The one node whose id begins so."""
    found = [node for node in nodes if NODE_ID.fullmatch(wanted) and node.startswith(wanted)]
    if len(found) > 1:
        raise BadInputError(f"{wanted} is the beginning of several node ids", hint=", ".join(map(short, found)))
    return found[0] if found else None


def _slowly(progress: Progress) -> Callable[[str], None]:
    return lambda trouble: progress(f"waiting: {trouble}")


def _text(arguments: Mapping[str, object], key: str) -> str | None:
    value = arguments.get(key)
    return value if isinstance(value, str) and value else None


def _checked(kind: object, value: str, what: str, hint: str) -> str:
    try:
        return str(TypeAdapter(kind).validate_python(value))
    except ValidationError:
        raise BadInputError(f"{value[:64]} is not {what}", hint=hint) from None
