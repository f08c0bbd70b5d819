"""A volume's options: what the plan's group and the closing of Gluster want, and what of it is not set yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from firstboot.context import Context, Member
from firstboot.errors import TrivetError
from firstboot.gluster import client, daemon
from firstboot.gluster.client import VolumeInfo
from firstboot.gluster.pool import corrector
from firstboot.phases import Wait
from firstboot.plan import VolumePlan

log = logging.getLogger(__name__)

MISSED_S = 30.0
"""Whoever corrects an option does so within seconds; a glusterd that still lacks it then failed in its part.

Connected, it never hears of that change any more: volumes are compared when members meet.
"""
GROUPS = Path("/var/lib/glusterd/groups")

_missed = daemon.Lasting(MISSED_S)


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


def tune(context: Context, volume: VolumePlan, found: VolumeInfo) -> None:
    """Set what a volume lacks before it is started."""
    group, members = option_group(volume, found.replica), context.members.values()
    options = read_group(group) if group else {}
    if not missing_options(wanted_options(volume, options, members), found):
        return
    context.report(f"tuning volume {volume.name}")
    if group and missing_options(options, found):
        client.set_group(volume.name, group)
    client.set_options(volume.name, wanted_options(volume, {}, members))


def keep_closed(context: Context, found: VolumeInfo) -> Wait | None:
    """Correct the options that close the volume; of the nodes that see each other the one of the lowest slot does."""
    lacking = missing_options(closing_options(context.members.values()), found)
    if not lacking:
        _missed.over(found.name)
        return None
    if first := corrector(context):
        if _missed.is_due(found.name, time.monotonic()):
            context.report(f"starting glusterd again: it missed a change of volume {found.name}")
            daemon.restart()
        return Wait(
            f"volume {found.name} is not closed to strangers: {', '.join(lacking)}",
            f"{first.name} corrects it: trivet-node status there",
        )
    log.warning("volume %s is closed to strangers again: %s", found.name, ", ".join(lacking))
    client.set_options(found.name, lacking)
    return None


def option_group(volume: VolumePlan, copies: int) -> str | None:
    """glusterd's name of the group: it refuses `virt`, which tunes healing, for a volume without copies. Pure."""
    if volume.group == "none":
        return None
    return volume.group if copies > 1 else f"distributed-{volume.group}"


def read_group(group: str) -> dict[str, str]:
    """The options of a group as this node's glusterd has them; raises TrivetError without the file."""
    try:
        return parse_group((GROUPS / group).read_text())
    except FileNotFoundError:
        raise TrivetError(f"glusterd has no option group {group}: {GROUPS / group} is not there") from None
