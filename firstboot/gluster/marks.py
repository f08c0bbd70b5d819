"""Marks on brick folders: those that a failed creation or addition left are told from living ones, and cleaned."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from firstboot.errors import RefusedError
from firstboot.gluster import client, daemon, store
from firstboot.gluster.client import VolumeInfo
from firstboot.phases import Wait

log = logging.getLogger(__name__)

VOLUME_ID = "trusted.glusterfs.volume-id"
"""glusterd sets it on every brick before the volume is there, and leaves it when that fails then."""
OWN_FOLDER = ".glusterfs"
"""glusterd makes it, empty, along with the mark."""
SEEN_S = 10.0
"""Who has just met the others is shown their volumes a moment later, on an emulated machine within seconds."""

_since: dict[Path, tuple[bytes, float]] = {}
"""By brick folder, the mark that has nothing behind it, and since when this process has seen that without a break."""
MARKED = "already part of a volume"
"""glusterd's words when it is to take a marked folder for a brick."""
SURPLUS_S = 30.0
"""All are connected for so long: whatever the others know of the volume, this node's glusterd was shown it."""

MOVE = "data of an earlier life: move it away by hand, then this goes on"

_surplus = daemon.Lasting(SURPLUS_S)


def clean(volume: str, mount: Path, folder: Path) -> Wait | None:
    """Take the mark of a failed creation off a brick folder; Wait while it may still be that of a volume.

    Only for a volume that the pool does not have. Raises RefusedError when there is data in the folder.
    """
    mark = volume_id(folder)
    if mark is None or not mount.is_mount():
        _since.pop(folder, None)
        return None
    if under_way := _under_way(volume, folder, mark):
        _since.pop(folder, None)
        return under_way
    now_s = time.monotonic()
    seen, since_s = _since.get(folder, (mark, now_s))
    _since[folder] = mark, since_s if seen == mark else now_s
    if now_s - _since[folder][1] < SEEN_S:
        return Wait(
            f"{folder} is marked as a brick of a volume that is not there",
            f"unless the other members show it within {SEEN_S:g} s, its creation has failed, and the mark is cleaned",
        )
    _clean(folder, volume)
    log.info("cleaned %s of the mark of a failed creation", folder)
    return None


def _under_way(volume: str, folder: Path, mark: bytes) -> Wait | None:
    """Why this mark may have been made by a creation that goes on, or has just ended well."""
    unsettled = [peer.names[0] for peer in client.pool().peers if not peer.is_settled]
    if unsettled:
        return Wait(f"{folder} was marked by an attempt to create volume {volume}; not connected: {unsettled[0]}")
    # Creations hold the volume's lock on all nodes from before the mark until the volume is there: with the lock
    # free and no volume, whoever made this mark has failed, or is a member that this node has only just met.
    if client.is_busy(volume):
        return Wait(f"volume {volume} is being created")
    if any(info.name == volume for info in client.volumes()) or volume_id(folder) != mark:
        return Wait(f"volume {volume} was just created")
    return None


def clean_surplus(volume: str, brick: str, mount: Path, folder: Path) -> Wait | None:
    """Take the mark off a folder that is to be a brick (`brick`: its name) of a volume that has others already.

    An addition that was cut off leaves it, or a creation before there was the volume. Wait while that can't be told
    from an addition under way, and when the folder is another volume's, or not empty.
    """
    mark, trouble = volume_id(folder), str(folder)
    if mark is None or not mount.is_mount():
        _surplus.over(trouble)
        return None
    reason = f"{folder} is marked as a brick, and is none of volume {volume}"
    owner = next((info.name for info in client.volumes() if UUID(info.id).bytes == mark and info.name != volume), "")
    if owner:
        return Wait(f"{reason}, but of volume {owner}", MOVE)
    if _made(folder) is None:
        return Wait(f"{reason}, and it is not empty", MOVE)
    unsettled = [peer.names[0] for peer in client.pool().peers if not peer.is_settled]
    if unsettled:
        _surplus.over(trouble)
        return Wait(f"{reason}; not connected: {unsettled[0]}", "the mark is taken off once all are connected")
    if not _surplus.is_due(trouble, time.monotonic()):
        return Wait(reason, f"the mark is taken off when that has lasted for {SURPLUS_S:g} s")
    # An addition holds the lock from before the mark until the brick is there, as a creation does.
    if client.is_busy(volume):
        return Wait(f"volume {volume} is being changed")
    if any(brick in info.bricks for info in client.volumes()) or volume_id(folder) != mark:
        return Wait(f"{folder} was just taken into a volume")
    _clean(folder, volume)
    _surplus.over(trouble)
    log.info("cleaned %s of a surplus mark", folder)
    return None


def restore(volume: VolumeInfo, mount: Path, folder: Path) -> None:
    """Mark an empty brick folder of a volume that was never started, which can't be started without.

    A node that lost the volume in a crash is shown it again by the others a moment after it has met them, and in that
    moment takes the mark for that of a failed creation.
    """
    if volume.status != "Created" or not mount.is_mount() or not folder.is_dir():
        return
    if volume_id(folder) is None and not any(path.name != OWN_FOLDER for path in folder.iterdir()):
        (folder / OWN_FOLDER).mkdir(mode=0o600, exist_ok=True)
        os.setxattr(folder, VOLUME_ID, UUID(volume.id).bytes)
        log.info("marked %s as a brick of volume %s again", folder, volume.name)


def volume_id(folder: Path) -> bytes | None:
    """The volume's id that a brick folder is marked with, or None."""
    with suppress(OSError):
        return os.getxattr(folder, VOLUME_ID)
    return None


def _clean(folder: Path, volume: str) -> None:
    """Remove the mark and glusterd's own empty folders; raises RefusedError when there is anything else."""
    made = _made(folder)
    if made is None:
        aside = ", ".join(map(str, store.set_aside(volume)))
        raise RefusedError(
            f"{folder} belongs to a volume that this pool does not know, and is not empty",
            hint=f"its damaged definition may be the one in {aside}: keep the data, and look at both by hand"
            if aside
            else MOVE,
        )
    for path in reversed(made):
        path.rmdir()
    os.removexattr(folder, VOLUME_ID)


def _made(folder: Path) -> list[Path] | None:
    """The folders that glusterd makes, all empty; None when there is anything else."""
    made: list[Path] = []
    for place, folders, files in os.walk(folder):
        inside = Path(place).relative_to(folder).parts
        if files or any((*inside, name)[0] != OWN_FOLDER for name in folders):
            return None
        made += [Path(place) / name for name in folders]
    return made
