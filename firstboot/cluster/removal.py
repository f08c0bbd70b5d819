"""What a removal means for the agents: who was removed stops and says so, the others say what is left to be done."""

from __future__ import annotations

from collections.abc import Mapping

from firstboot import chrony
from firstboot.cluster import rotation
from firstboot.cluster.founder import short
from firstboot.cluster.members import Members
from firstboot.cluster.roster import Rival
from firstboot.cluster.views import View
from firstboot.context import Context
from firstboot.gluster import processes
from firstboot.phases import Wait

HINT = "its data is left as it is; to use the machine again, wipe its disks and give it a new seed"


def leave(removal: str) -> Wait | None:
    """Stop what this node runs for a cluster that removed it; `removal` says that it did, empty when not."""
    if not removal:
        return None
    processes.end_all()
    chrony.leave()
    return Wait(removal, HINT)


def vacated(context: Context, members: Members | None, slot: int) -> str:
    """Why no machine may have an open slot yet: who held it is in the pool, or may be; empty when it is free.

    `members` is the latest epoch that the register has: it knows of a release before any phase has come to it.
    """
    if members is None or all(removed.slot != slot for removed in members.removed.values()):
        return ""
    if not context.plan.mode.has_gluster:
        return ""
    if "pool" not in context.finished:
        return f"{context.slot.name} does not know yet whether the pool still has the node that held slot {slot}"
    from firstboot.gluster import removal

    return removal.occupation(context, members, slot)


def returned(members: Members | None, node_id: str, rival: Rival) -> str:
    """That a removed node is on again; empty when it is another machine."""
    if members is None or node_id not in members.removed:
        return ""
    return f"node {short(node_id)}, which was removed from slot {rival.slot}, is on at {rival.address}: turn it off"


def under_way(members: Members | None, answering: Mapping[int, View], own_id: str, trouble: str = "") -> list[str]:
    """What is left to be done after a removal, as far as the members' document tells; `trouble` as in rotation."""
    if members is None or own_id not in members.nodes:
        return []
    names = {slot: record.name for slot, record in members.slots.items()}
    silent = tuple(slot for node, slot in members.nodes.items() if node != own_id and slot not in answering)
    told = rotation.progress(members, names, silent, trouble)
    return [f"enrol: {told}"] if told else []
