"""The plan's volumes: made, tuned and started by the founder once, awaited and compared by everybody."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from firstboot.context import Context, Member
from firstboot.errors import RefusedError, TrivetError
from firstboot.gluster import client
from firstboot.gluster.client import GlusterError, VolumeInfo
from firstboot.gluster.layout import Layout, brick_names, volume_layout
from firstboot.gluster.pool import compare, others
from firstboot.paths import brick_mount, brick_path
from firstboot.phases import Done, Outcome, Wait
from firstboot.plan import VolumePlan

log = logging.getLogger(__name__)

GROUPS = Path("/var/lib/glusterd/groups")
VOLUME_ID = "trusted.glusterfs.volume-id"
SETTLED_S = 200.0
"""Longer than glusterd's transactions last at most (its lock timer is 180 s): whoever tried has given up by then."""


@dataclass(frozen=True)
class WantedVolume:
    """A volume as it should be."""

    plan: VolumePlan
    layout: Layout
    bricks: tuple[str, ...]


def wanted_volumes(context: Context) -> tuple[WantedVolume, ...]:
    """Every volume of the plan with its bricks' names; needs all members."""
    hosts = {slot: member.host_name for slot, member in context.members.items()}
    wanted = []
    for volume in context.plan.volumes:
        layout = volume_layout(context.plan, volume)
        wanted.append(WantedVolume(volume, layout, brick_names(layout, volume.name, hosts)))
    return tuple(wanted)


def require_same(wanted: WantedVolume, found: VolumeInfo) -> None:
    """Raise RefusedError when a volume of that name is another one. Pure."""
    shape = (wanted.layout.set_size, wanted.layout.arbiter)
    if found.bricks == wanted.bricks and (found.replica, found.arbiter) == shape:
        return
    raise RefusedError(
        f"there is a volume {found.name} already, but with other bricks: {' '.join(found.bricks)} "
        f"(replica {found.replica}, arbiter {found.arbiter}); the plan says {' '.join(wanted.bricks)}",
        hint=f"nothing was changed; look at it: gluster volume info {found.name}",
    )


def wanted_options(volume: VolumePlan, group: Mapping[str, str], members: Iterable[Member]) -> dict[str, str]:
    """The group's options, the plan's own over them, and over both those that close the volume."""
    return {**group, **volume.options, **closing_options(members)}


def closing_options(members: Iterable[Member]) -> dict[str, str]:
    """TLS on both sides of every brick, for the members' node ids alone. Pure.

    Unlike all others these are never an operator's: they are kept on a started volume too. glusterd puts a change of
    `auth.ssl-allow` into effect at once: clients whose name is gone are disconnected, the others notice nothing.
    """
    names = ",".join(sorted(member.node_id for member in members))
    return {"auth.ssl-allow": names, "client.ssl": "on", "server.ssl": "on"}


def missing_options(wanted: Mapping[str, str], found: VolumeInfo) -> dict[str, str]:
    """What has to be set still. Pure."""
    return {name: value for name, value in wanted.items() if found.options.get(name) != value}


def parse_group(text: str) -> dict[str, str]:
    """A file of glusterd's option groups: `name=value` lines."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def form(context: Context) -> Outcome:
    """Reach every volume started with every brick online."""
    for wanted in wanted_volumes(context):
        found = {info.name: info for info in client.volumes()}.get(wanted.plan.name)
        if found is None:
            waiting = _create(context, wanted) if context.is_founder else _await_creation(context, wanted)
            if waiting is not None:
                return waiting
            found = {info.name: info for info in client.volumes()}[wanted.plan.name]
        require_same(wanted, found)
        waiting = _bring_up(context, wanted, found)
        if waiting is not None:
            return waiting
    return Done(f"{len(context.plan.volumes)} volume(s) started")


def _create(context: Context, wanted: WantedVolume) -> Wait | None:
    """Make the volume. A folder of ours that an attempt left marked is cleaned first; only the founder creates."""
    name = wanted.plan.name
    for index in _own_indexes(context, wanted):
        clean_brick(brick_mount(name, index), brick_path(name, index))
    context.report(f"creating volume {name}")
    try:
        client.create(name, wanted.layout.words, wanted.bricks)
    except GlusterError as error:
        if "already part of a volume" in error.text:
            return Wait(
                f"volume {name} can't be made yet: {error.text}, left by an attempt that was cut off",
                f"the node of that brick cleans it by itself within {SETTLED_S:g} s, if it is empty",
                retry_s=10.0,
            )
        raise
    return None


def _bring_up(context: Context, wanted: WantedVolume, found: VolumeInfo) -> Wait | None:
    """Tune and start a created volume. A started one is an operator's to tune; it is kept closed, no more."""
    name = wanted.plan.name
    waiting = _keep_closed(context, found) if found.status != "Created" else None
    if waiting is not None:
        return waiting
    if found.status == "Stopped":
        return Wait(f"volume {name} was stopped by an operator", f"gluster volume start {name}", retry_s=10.0)
    if found.status == "Created":
        if not context.is_founder:
            return Wait(f"waiting for {_founder_name(context)} to start volume {name}")
        _tune(context, wanted, found)
        context.report(f"starting volume {name}")
        client.start(name)
    online = client.online_bricks(name)
    offline = [brick for brick in wanted.bricks if brick not in online]
    if offline and "domains" not in context.finished:
        # On the way up a dead node's bricks are no reason to wait: a volume that can't do without them won't mount.
        away = {name for peer in client.pool().peers if not peer.connected for name in peer.names}
        offline = [brick for brick in offline if brick.partition(":")[0] not in away]
    if offline:
        return Wait(
            f"volume {name} has bricks offline: {', '.join(offline)}",
            "is that node up, and its brick mounted? trivet-node status there; gluster volume status",
        )
    return None


def _keep_closed(context: Context, found: VolumeInfo) -> Wait | None:
    """Correct the options that close the volume; of the nodes that see each other the one of the lowest slot does."""
    lacking = missing_options(closing_options(context.members.values()), found)
    if not lacking:
        return None
    settled = compare(client.pool(), others(context)).settled
    if first := next((member for member in settled if member.slot < context.slot.number), None):
        return Wait(
            f"volume {found.name} is not closed to strangers: {', '.join(lacking)}",
            f"{first.name} corrects it: trivet-node status there",
        )
    log.warning("volume %s is closed to strangers again: %s", found.name, ", ".join(lacking))
    client.set_options(found.name, lacking)
    return None


def _tune(context: Context, wanted: WantedVolume, found: VolumeInfo) -> None:
    volume, group, members = wanted.plan, option_group(wanted), context.members.values()
    options = read_group(group) if group else {}
    if not missing_options(wanted_options(volume, options, members), found):
        return
    context.report(f"tuning volume {volume.name}")
    if group and missing_options(options, found):
        client.set_group(volume.name, group)
    client.set_options(volume.name, wanted_options(volume, {}, members))


def option_group(wanted: WantedVolume) -> str | None:
    """glusterd's name of the group: it refuses `virt`, which tunes healing, for a volume without copies. Pure."""
    if wanted.plan.group == "none":
        return None
    return wanted.plan.group if wanted.layout.set_size > 1 else f"distributed-{wanted.plan.group}"


def read_group(group: str) -> dict[str, str]:
    """The options of a group as this node's glusterd has them; raises TrivetError without the file."""
    try:
        return parse_group((GROUPS / group).read_text())
    except FileNotFoundError:
        raise TrivetError(f"glusterd has no option group {group}: {GROUPS / group} is not there") from None


def clean_brick(mount: Path, folder: Path) -> bool:
    """Take the mark of a failed creation off a brick folder, if it is empty and its mount is in place."""
    if not mount.is_mount() or volume_id(folder) is None:
        return False
    if any(folder.iterdir()):
        raise RefusedError(
            f"{folder} belongs to a volume that this pool does not know, and is not empty",
            hint="data of an earlier life: move it away by hand, then this goes on",
        )
    os.removexattr(folder, VOLUME_ID)
    log.info("cleaned %s of the mark of a failed creation", folder)
    return True


def volume_id(folder: Path) -> bytes | None:
    """The volume's id that a brick folder is marked with, or None."""
    with suppress(OSError):
        return os.getxattr(folder, VOLUME_ID)
    return None


class Marks:
    """How long each brick folder has carried the same mark while there was no such volume."""

    def __init__(self) -> None:
        self._since: dict[Path, tuple[bytes, float]] = {}

    def settled(self, folder: Path, mark: bytes | None, now: float) -> bool:
        """Whether the mark is so old that no creation can be under way any more."""
        if mark is None:
            self._since.pop(folder, None)
            return False
        known, since = self._since.get(folder, (b"", now))
        if known != mark:
            self._since[folder] = (mark, now)
            return False
        return now - since >= SETTLED_S


_marks = Marks()


def _await_creation(context: Context, wanted: WantedVolume) -> Wait:
    name = wanted.plan.name
    for index in _own_indexes(context, wanted):
        folder = brick_path(name, index)
        if _marks.settled(folder, volume_id(folder), time.monotonic()):
            clean_brick(brick_mount(name, index), folder)
    return Wait(f"waiting for {_founder_name(context)} to create volume {name}")


def _own_indexes(context: Context, wanted: WantedVolume) -> tuple[int, ...]:
    return tuple(brick.index for brick in wanted.layout.bricks if brick.slot == context.slot.number)


def _founder_name(context: Context) -> str:
    founder = context.members.get(context.founder_slot or 0)
    return founder.name if founder else "the founder"
