"""The plan's volumes: made, tuned and started by the founder once, awaited and compared by everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firstboot.context import Context
from firstboot.errors import RefusedError, TrivetError
from firstboot.gluster import client, marks
from firstboot.gluster.client import GlusterError, VolumeInfo
from firstboot.gluster.layout import Layout, brick_names, volume_layout
from firstboot.paths import brick_mount, brick_path
from firstboot.phases import Done, Outcome, Wait
from firstboot.plan import VolumePlan

GROUPS = Path("/var/lib/glusterd/groups")


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


def wanted_options(volume: VolumePlan, group: Mapping[str, str]) -> dict[str, str]:
    """The group's options with the plan's own over them."""
    return {**group, **volume.options}


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
    waiting = _clean_marks(context, wanted)
    if waiting is not None:
        return waiting
    context.report(f"creating volume {name}")
    try:
        client.create(name, wanted.layout.words, wanted.bricks)
    except GlusterError as error:
        if "already part of a volume" in error.text:
            return Wait(
                f"volume {name} can't be made yet: {error.text}, left by an attempt that was cut off",
                "the node of that brick cleans it by itself, if it is empty: trivet-node status there",
            )
        if error.is_unreachable or "Peer in Cluster" in error.text:
            return Wait(f"volume {name} can't be made yet: {error.text}", "the members are still meeting each other")
        raise
    return None


def _bring_up(context: Context, wanted: WantedVolume, found: VolumeInfo) -> Wait | None:
    """Tune and start a created volume. A started one is an operator's to tune: it is not changed any more."""
    name = wanted.plan.name
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


def _tune(context: Context, wanted: WantedVolume, found: VolumeInfo) -> None:
    volume, group = wanted.plan, option_group(wanted)
    options = read_group(group) if group else {}
    if not missing_options(wanted_options(volume, options), found):
        return
    context.report(f"tuning volume {volume.name}")
    if group and missing_options(options, found):
        client.set_group(volume.name, group)
    if volume.options:
        client.set_options(volume.name, volume.options)


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


def _await_creation(context: Context, wanted: WantedVolume) -> Wait:
    waiting = _clean_marks(context, wanted)
    return waiting or Wait(f"waiting for {_founder_name(context)} to create volume {wanted.plan.name}")


def _clean_marks(context: Context, wanted: WantedVolume) -> Wait | None:
    name = wanted.plan.name
    for index in _own_indexes(context, wanted):
        waiting = marks.clean(name, brick_mount(name, index), brick_path(name, index))
        if waiting is not None:
            return waiting
    return None


def _own_indexes(context: Context, wanted: WantedVolume) -> tuple[int, ...]:
    return tuple(brick.index for brick in wanted.layout.bricks if brick.slot == context.slot.number)


def _founder_name(context: Context) -> str:
    founder = context.members.get(context.founder_slot or 0)
    return founder.name if founder else "the founder"
