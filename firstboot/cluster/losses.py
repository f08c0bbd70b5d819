"""What a removal would cost: for each volume what is left of it without a node, or why it can't do without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from firstboot.cluster.members import Members
from firstboot.cluster.slotreport import VolumeLoss
from firstboot.context import Context


def losses(context: Context, members: Members, slot: int) -> tuple[VolumeLoss, ...]:
    """What becomes of each volume without the node of this slot; raises TrivetError when Gluster does not answer.

    Copies that are not there, or not whole, are no copies to count on.
    """
    if not context.plan.mode.has_gluster or not context.plan.volumes:
        return ()
    from firstboot.gluster import client
    from firstboot.gluster.inplace import InPlace
    from firstboot.gluster.removal import Obstacle, reduction
    from firstboot.gluster.wanted import wanted_volumes

    gone = {slot} | {number for number, record in members.slots.items() if record.node_id is None}
    infos = {info.name: info for info in client.volumes()}
    found = []
    for wanted in wanted_volumes(context):
        info = infos.get(wanted.plan.name)
        bricks = wanted.placed(info) if info is not None else ()
        if info is None or bricks is None:
            continue
        name = info.name
        if all(brick.slot != slot for brick in bricks):
            found.append(VolumeLoss(name=name, text=f"volume {name} loses nothing", possible=True))
            continue
        empty = _empty(context, name)
        plan = reduction(name, wanted.layout, bricks, info.replica, gone | empty)
        if isinstance(plan, Obstacle):
            found.append(VolumeLoss(name=name, text=plan.reason, possible=False, hint=plan.hint))
            continue
        behind = _behind(context, name, {wanted.names[brick]: brick.slot for brick in bricks})
        whole = reduction(name, wanted.layout, bricks, info.replica, gone | empty | behind)
        if isinstance(whole, Obstacle):
            lacking = ", ".join(context.plan.slot(number).name for number in sorted(behind - gone))
            text = f"volume {name} is healing: {lacking} lacks what may be nowhere else then"
            hint = f"wait until it is healed: gluster volume heal {name} info summary"
            found.append(VolumeLoss(name=name, text=text, possible=False, hint=hint))
        elif isinstance(plan, InPlace):
            text = f"volume {name} {plan.text}, until a machine replaces the node in its slot"
            found.append(VolumeLoss(name=name, text=text, possible=True))
        else:
            left = plan.words[-1] if plan is not None else info.replica
            text = f"volume {name} keeps {left} of {info.replica} copies"
            found.append(VolumeLoss(name=name, text=text, possible=True))
    return tuple(found)


def _behind(context: Context, volume: str, slots: Mapping[str, int]) -> set[int]:
    """The slots whose copies lack something that a brick here has; `slots` are those of the volume's bricks."""
    from firstboot.gluster import heals

    copies = heals.copies(volume)
    own = [Path(name.partition(":")[2]) for name, slot in slots.items() if slot == context.slot.number]
    owed = {mark for path in own for mark in heals.owed(path, copies)}
    return {slots[copies[mark]] for mark in owed if copies[mark] in slots}


def _empty(context: Context, volume: str) -> set[int]:
    """The slots whose bricks of a volume were never filled."""
    told = {slot for slot, view in context.views.items() if volume in view.empty}
    return told | ({context.slot.number} if volume in context.empty else set())
