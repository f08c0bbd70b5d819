"""Pool and volumes for the status, from glusterd's own words; without a glusterd there are none."""

from __future__ import annotations

from firstboot.context import Context
from firstboot.gluster import client
from firstboot.gluster.pool import compare, others
from firstboot.services import is_active
from firstboot.status import BrickStatus, PeerStatus, VolumeStatus


def peers(context: Context) -> tuple[PeerStatus, ...]:
    """The other members, and whether glusterd is connected to them; empty before admission is done."""
    if not _answers(context):
        return ()
    comparison = compare(client.pool(), others(context))
    connected = {member.slot for member in comparison.settled}
    return tuple(
        PeerStatus(
            name=m.name,
            slot=m.slot,
            node_id=m.node_id,
            address=m.address,
            storage_address=m.storage_address,
            connected=m.slot in connected,
        )
        for m in others(context)
    )


def volumes(context: Context) -> tuple[VolumeStatus, ...]:
    """Every volume of the pool with its bricks; a brick is named by its node's slot where that is a member."""
    if not _answers(context):
        return ()
    names = {member.host_name: member.name for member in context.members.values()}
    found = []
    for info in client.volumes():
        online = client.online_bricks(info.name) if info.status == "Started" else frozenset()
        pairs = [(brick, *brick.split(":", 1)) for brick in info.bricks]
        bricks = tuple(BrickStatus(node=names.get(h, h), path=p, online=b in online) for b, h, p in pairs)
        found.append(VolumeStatus(name=info.name, type=info.type, status=info.status, bricks=bricks))
    return tuple(found)


def _answers(context: Context) -> bool:
    return context.seed is not None and context.plan.mode.has_gluster and is_active("glusterd")
