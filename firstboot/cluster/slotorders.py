"""The orders `slot` and `remove`: an operator's changes of a founded cluster's slots and members, on any member."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from firstboot.cluster.changes import AddSlot, Change, CloseSlot, ReleaseSlot, RemoveNode
from firstboot.cluster.council import Council, NotMadeError
from firstboot.cluster.founder import short
from firstboot.cluster.members import Members
from firstboot.cluster.slotreport import SlotsReport, VacateReport, VolumeLoss, report
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
            return self._report(self._known(), trouble=error.message)

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
        return self._make(CloseSlot(self._slot(arguments)), progress)

    def look(self, arguments: Mapping[str, object], progress: Progress) -> VacateReport:
        """What removing the node of a slot would mean; changes nothing."""
        members, slot = self._known(), self._slot(arguments)
        record = members.slots[slot]
        return VacateReport(
            slot=slot,
            name=record.name,
            node_id=record.node_id,
            answers=slot in self._membership.answering or record.node_id == self._context.node_id,
            members=len(members.nodes),
            volumes=losses(self._context, slot) if record.node_id is not None else (),
        )

    def release(self, arguments: Mapping[str, object], progress: Progress) -> SlotsReport:
        """Open a slot to a new machine; whoever holds it is removed."""
        slot, seed_id = self._slot(arguments), _text(arguments, "seed")
        holder = self._known().slots[slot].node_id
        self._require_removable(slot, holder)
        only = _checked(Id, seed_id, "a seed's id", "trivet site slot list SITE --json has it") if seed_id else None
        return self._make(ReleaseSlot(slot, holder, only), progress)

    def remove(self, arguments: Mapping[str, object], progress: Progress) -> SlotsReport:
        """End a node's membership for good; its slot stays closed."""
        members, wanted = self._known(), str(arguments.get("slot", ""))
        gone = _by_prefix(wanted, members.removed)
        node_id = gone or members.slots[self._slot(arguments)].node_id
        if node_id is None:
            return self._report(members)  # done before
        self._require_removable(members.nodes.get(node_id, 0), node_id)
        return self._make(RemoveNode(node_id), progress)

    def _make(self, change: Change, progress: Progress) -> SlotsReport:
        progress("asking the members")
        return self._report(self._council().make(change, _slowly(progress)))

    def _require_removable(self, slot: int, node_id: str | None) -> None:
        if node_id is None or node_id in self._known().removed:
            return
        if node_id == self._context.node_id:
            raise RefusedError("this node can't remove itself", hint="give the order on another member")
        for loss in losses(self._context, slot):
            if not loss.possible:
                raise RefusedError(f"{loss.text}: nothing was changed", hint=loss.hint)

    def _slot(self, arguments: Mapping[str, object]) -> int:
        """The slot that an operator named by its number, its name or its member's node id."""
        members, wanted = self._known(), str(arguments.get("slot", ""))[:64]
        for slot, record in members.slots.items():
            if wanted in (str(slot), record.name):
                return slot
        node_id = _by_prefix(wanted, members.nodes)
        if node_id is not None:
            return members.nodes[node_id]
        slots = ", ".join(f"{slot} ({record.name})" for slot, record in sorted(members.slots.items()))
        raise BadInputError(f"the cluster has no slot or member {wanted}".rstrip(), hint=f"slots: {slots}")

    def _council(self) -> Council:
        council = self._membership.council
        if council is None or council.members is None:
            raise RefusedError("this node is in no cluster yet", hint=NO_CLUSTER_HINT)
        return council

    def _known(self) -> Members:
        members = self._council().members
        assert members is not None, "a council without members was refused"
        return members

    def _report(self, members: Members, trouble: str | None = None) -> SlotsReport:
        return report(
            members,
            own_id=self._context.node_id or "",
            answering=self._membership.answering,
            addresses={slot: member.address for slot, member in self._context.members.items()},
            trouble=trouble,
        )


def losses(context: Context, slot: int) -> tuple[VolumeLoss, ...]:
    """What becomes of each volume without the node of this slot; raises TrivetError when Gluster does not answer."""
    if not context.plan.mode.has_gluster or not context.plan.volumes:
        return ()
    from firstboot.gluster import client
    from firstboot.gluster.removal import Obstacle, reduction
    from firstboot.gluster.wanted import wanted_volumes

    infos = {info.name: info for info in client.volumes()}
    found = []
    for wanted in wanted_volumes(context):
        info = infos.get(wanted.plan.name)
        bricks = wanted.placed(info) if info is not None else ()
        if info is None or bricks is None:
            continue
        name, plan = info.name, reduction(info.name, wanted.layout, bricks, info.replica, {slot})
        if isinstance(plan, Obstacle):
            found.append(VolumeLoss(name=name, text=plan.reason, possible=False, hint=plan.hint))
            continue
        left = f"keeps {plan.words[-1]} of {info.replica} copies" if plan is not None else "loses nothing"
        found.append(VolumeLoss(name=name, text=f"volume {name} {left}", possible=True))
    return tuple(found)


def _by_prefix(wanted: str, nodes: Mapping[str, object]) -> str | None:
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
