"""A new machine takes its slot's former place in the pool, under the former node's UUID, before glusterd starts."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from firstboot import paths, services
from firstboot.cluster import likeness, places
from firstboot.cluster.members import Members
from firstboot.cluster.names import host_name
from firstboot.cluster.places import Heir, Places
from firstboot.context import Context
from firstboot.files import write_atomic
from firstboot.gluster import client
from firstboot.gluster.client import Pool
from firstboot.gluster.closing import UNIT
from firstboot.phases import Wait

log = logging.getLogger(__name__)

OPERATING_VERSION = re.compile(r"^operating-version=(\d{1,9})$", re.MULTILINE)
IN_CLUSTER = 3
"""glusterd-sm.h, GD_FRIEND_STATE_BEFRIENDED: it asks such a peer whenever it connects, and both compare volumes."""


def note(context: Context, members: Members | None, pool: Pool) -> None:
    """Have the view say who has which place in the pool; `members` as they were before that was looked at."""
    version = OPERATING_VERSION.search(_text(paths.GLUSTERD_INFO))
    if members is None or version is None or not pool.own_uuid:
        return
    site = context.claimed_seed.site.name
    by_name = {name: peer.uuid for peer in pool.peers for name in peer.names}
    slots = {slot: by_name.get(host_name(record.name, site)) for slot, record in members.slots.items()}
    slots[context.slot.number] = pool.own_uuid
    context.places = Places(
        epoch=members.epoch,
        operating_version=int(version[1]),
        glusterd={slot: uuid.lower() for slot, uuid in sorted(slots.items()) if uuid},
    )


def look(context: Context) -> Pool:
    """The pool as it is now, which the view says from then on."""
    members, pool = context.document, client.pool()
    note(context, members, pool)
    return pool


def take(context: Context, store: Path = paths.GLUSTERD) -> Wait | None:
    """Have glusterd start as the slot's former node, where that has a place in the pool; Wait while that is open.

    Only before it knows of any volume: afterwards it has its place.
    """
    members = context.document
    if members is None or "pool" in context.finished or _has_any(store / "vols"):
        return None
    told = [
        view.places
        for slot, view in context.views.items()
        if slot != context.slot.number and members.nodes.get(view.node_id) == slot and view.places is not None
    ]
    found = places.inherited(members, context.slot.number, told)
    if found is None:
        return None
    if isinstance(found, places.Unknown):
        return Wait(f"this machine came instead of another one: {found.reason}", "they say so within a minute")
    _take(context, members, found, store)
    return None


def peer_file(uuid: str, name: str) -> str:
    """A member's file in glusterd's folder `peers`. Pure."""
    return f"uuid={uuid}\nstate={IN_CLUSTER}\nhostname1={name}\n"


def _take(context: Context, members: Members, heir: Heir, store: Path) -> None:
    """Write the place down, its UUID last: with that, all of it is there."""
    info, site = store / paths.GLUSTERD_INFO.name, context.claimed_seed.site.name
    has_place = likeness.glusterd_uuid(info) == heir.uuid
    missing = {slot: uuid for slot, uuid in heir.peers.items() if not (store / "peers" / uuid).exists()}
    if has_place and (not missing or services.is_active(UNIT)):
        return
    context.report(f"taking the place in the pool of the node that slot {context.slot.number} had before")
    services.stop(UNIT)
    (store / "peers").mkdir(mode=0o755, parents=True, exist_ok=True)
    for slot, uuid in missing.items():
        text = peer_file(uuid, host_name(members.slots[slot].name, site))
        write_atomic(store / "peers" / uuid, text, mode=0o600)
    if not has_place:
        text = f"UUID={heir.uuid}\noperating-version={heir.operating_version}\n"
        write_atomic(info, text, mode=0o600)
    log.info("glusterd is %s here, as the node was that slot %d had before", heir.uuid, context.slot.number)


def _has_any(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
