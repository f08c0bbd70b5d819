"""A brick that is there instead of a removed node's begins empty: it is marked so, reset, and filled by healing."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from firstboot.cluster.places import came_instead
from firstboot.cluster.views import View
from firstboot.context import Context
from firstboot.errors import RefusedError
from firstboot.files import TEMPORARY, sync_folder, write_atomic
from firstboot.gluster import client, daemon, heals, marks, options
from firstboot.gluster.client import GlusterError, VolumeInfo
from firstboot.gluster.layout import PlacedBrick
from firstboot.gluster.wanted import WantedVolume
from firstboot.paths import brick_mount, brick_path
from firstboot.phases import Wait

log = logging.getLogger(__name__)

RECORD = ".trivet-empty"
"""Beside a brick's folder, from before that is made until Gluster has marked the other copies as ahead of it."""
EVERYTHING = b"\x00\x00\x00\x01" * 3
"""A mark of Gluster's replication: data, metadata and entries are to be healed."""


NOT_FOUND = "destination brick is new"
"""What a glusterd says of a brick of its own that it was told of by others, until it reads that from its store."""
READ_AGAIN_S = 30.0
"""Where one start of glusterd did not help: the next one after so long."""

_not_found = daemon.Lasting(READ_AGAIN_S)
_told: set[str] = set()
"""Bricks that glusterd did not find, and for which it was started anew."""


class Standing(StrEnum):
    """What of the way from an empty brick file system to a brick of a volume is behind it."""

    BLANK = "blank"
    MARKED = "marked"
    BEGUN = "begun"
    """Gluster has taken the folder for the volume's, and may not have marked the other copies."""
    FILLED = "filled"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Facts:
    """A brick's file system: its folder's volume-id, whether the folder is there and empty, and the record."""

    volume_id: bytes | None
    is_empty: bool
    is_recorded: bool


def standing(facts: Facts, volume_id: bytes) -> Standing:
    """How far a brick of that volume is. Pure."""
    if facts.volume_id == volume_id:
        return Standing.BEGUN if facts.is_recorded else Standing.FILLED
    if facts.volume_id is not None or not facts.is_empty:
        return Standing.FOREIGN
    return Standing.MARKED if facts.is_recorded else Standing.BLANK


def sources(
    bricks: tuple[PlacedBrick, ...], copies: int, brick: PlacedBrick, members: Mapping[int, object], empty: set[int]
) -> tuple[PlacedBrick, ...]:
    """The copies that must be there to be marked as ahead of an empty one: all of members' but the empty ones. Pure.

    `empty` are the slots whose own brick was never filled: they have nothing that could be lost.
    """
    at = bricks.index(brick) // max(copies, 1) * max(copies, 1)
    return tuple(
        other
        for other in bricks[at : at + max(copies, 1)]
        if other != brick and other.slot in members and other.slot not in empty
    )


def step(context: Context, wanted: WantedVolume, found: VolumeInfo) -> Wait | None:
    """Reset this node's bricks that are empty because it came instead of another one; each node does so itself.

    An empty brick that Gluster does not know to be empty would be read from, and its missing files taken for
    deleted. So it bears from its first moment a mark by which it accuses itself, whoever starts it and whenever.
    """
    members, slot = context.document, context.slot.number
    bricks = wanted.placed(found)
    if members is None or bricks is None or found.status != "Started" or not came_instead(members, slot):
        return None
    empty = []
    for brick in bricks:
        mount = brick_mount(found.name, brick.index)
        if brick.slot == slot and mount.is_mount():
            now = standing(_facts(mount, brick_path(found.name, brick.index)), UUID(found.id).bytes)
            if now is Standing.FOREIGN:
                raise RefusedError(
                    f"{brick_path(found.name, brick.index)} is no brick of volume {found.name} yet, and not empty",
                    hint="nothing was changed; move what is there away by hand, then this goes on",
                )
            if now is not Standing.FILLED:
                empty.append((brick, now))
    known = {name for name in context.empty if name != found.name} | ({found.name} if empty else set())
    context.empty = tuple(sorted(known))
    for brick, now in empty:
        if waiting := _fill(context, wanted, found, bricks, brick, now):
            return waiting
    context.empty = tuple(name for name in context.empty if name != found.name)
    return None


def _fill(
    context: Context,
    wanted: WantedVolume,
    found: VolumeInfo,
    bricks: tuple[PlacedBrick, ...],
    brick: PlacedBrick,
    now: Standing,
) -> Wait | None:
    name, own = found.name, wanted.names[brick]
    empty = {slot for slot, view in context.views.items() if isinstance(view, View) and name in view.empty}
    if options.missing_options(options.closing_options(context.members.values()), found):
        return Wait(f"volume {name}: {own} is filled once the volume lets this node in")
    needed = sources(bricks, found.replica, brick, context.members, empty - {context.slot.number})
    data = [other for other in needed if not _is_arbiter(found, bricks, other)]
    if not data:
        return Wait(f"volume {name}: no member has a copy of what {own} is to have")
    online = client.online_bricks(name)
    missing = [wanted.names[other] for other in needed if wanted.names[other] not in online]
    if missing:
        return Wait(f"volume {name}: {own} is filled once these are online: {', '.join(missing)}")
    mount, folder = brick_mount(name, brick.index), brick_path(name, brick.index)
    if now is Standing.BLANK:
        mark = next((mark for mark, other in heals.copies(name).items() if other == own), None)
        if mark is None:
            return Wait(f"volume {name}: glusterd does not say yet by which name its copies know {own}")
        _prepare(mount, folder, heals.MARK + mark)
    context.report(f"taking {own} into volume {name}, empty, to be healed")
    if own in online:
        client.stop_brick(name, own)
    try:
        client.reset_brick(name, own)
    except GlusterError as error:
        if NOT_FOUND not in error.text:
            raise
        return _read_anew(context, own)
    _not_found.over(own)
    _told.discard(own)
    (mount / RECORD).unlink()
    sync_folder(mount)
    try:
        client.heal_full(name)
    except GlusterError as error:
        # What is marked is healed without it, a little later.
        log.info("%s", error)
    return None


def _read_anew(context: Context, own: str) -> Wait:
    is_due = _not_found.is_due(own, time.monotonic())
    if is_due or own not in _told:
        _told.add(own)
        context.report(f"starting glusterd again: it does not find {own} yet, of which it was told")
        daemon.restart()
    return Wait(f"glusterd does not find {own} yet, of which it was told", "it is started again for that")


def _prepare(mount: Path, folder: Path, mark: str) -> None:
    """Make the brick's folder with its mark, or none."""
    write_atomic(mount / RECORD, "", mode=0o600)
    if folder.is_dir():
        os.setxattr(folder, mark, EVERYTHING)
        sync_folder(folder)
        return
    making = folder.with_name(f".{folder.name}{TEMPORARY}")
    making.mkdir(mode=0o755, exist_ok=True)
    os.setxattr(making, mark, EVERYTHING)
    sync_folder(making)
    making.rename(folder)
    sync_folder(mount)


def _facts(mount: Path, folder: Path) -> Facts:
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return Facts(marks.volume_id(folder), there <= {marks.OWN_FOLDER}, (mount / RECORD).exists())


def _is_arbiter(found: VolumeInfo, bricks: tuple[PlacedBrick, ...], brick: PlacedBrick) -> bool:
    return found.arbiter > 0 and bricks.index(brick) % found.replica == found.replica - 1
