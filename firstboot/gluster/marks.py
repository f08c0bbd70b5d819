"""Marks on brick folders: those that a failed creation of a volume left are told from living ones, and cleaned."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from firstboot.errors import RefusedError
from firstboot.gluster import client, store
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
    _empty(folder, volume)
    os.removexattr(folder, VOLUME_ID)
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


def _empty(folder: Path, volume: str) -> None:
    """Remove glusterd's own empty folders; raises RefusedError when there is anything else."""
    made: list[Path] = []
    for place, folders, files in os.walk(folder):
        inside = Path(place).relative_to(folder).parts
        if files or any((*inside, name)[0] != OWN_FOLDER for name in folders):
            aside = ", ".join(map(str, store.set_aside(volume)))
            raise RefusedError(
                f"{folder} belongs to a volume that this pool does not know, and is not empty",
                hint=f"its damaged definition may be the one in {aside}: keep the data, and look at both by hand"
                if aside
                else "data of an earlier life: move it away by hand, then this goes on",
            )
        made += [Path(place) / name for name in folders]
    for path in reversed(made):
        path.rmdir()
