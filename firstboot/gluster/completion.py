"""Adds the bricks of members that came after a volume was made, and has them healed once every client knows them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from firstboot.context import Context
from firstboot.gluster import client
from firstboot.gluster.client import GlusterError, VolumeInfo
from firstboot.gluster.layout import PlacedBrick
from firstboot.gluster.pool import compare, corrector, others
from firstboot.gluster.shape import Growth, growth
from firstboot.gluster.wanted import WantedVolume
from firstboot.phases import Wait

HEALING = "cluster.self-heal-daemon"
HELD = "user.trivet.heal"
"""While healing is held back, what HEALING is to be afterwards; glusterd can't forget it, so later it is DONE."""
DONE = "done"
LOOKS, LOOK_PAUSE_S = 20, 0.5
"""So often, at once; clients take a new brick up within a second."""
STARTS, START_PAUSE_S = 20, 0.5
"""Self-heal daemons take a moment to start."""


def step(context: Context, wanted: WantedVolume, found: VolumeInfo, bricks: tuple[PlacedBrick, ...]) -> Wait | None:
    """Add what can be added now, and go on with what an earlier step began; of those who can, the lowest slot does.

    A client that writes as if there were only the former copies leaves no mark that the new one lacks that. What
    was healed before would be taken for whole; so nothing is healed as long as there is such a client.
    """
    settled = compare(client.pool(), others(context)).settled
    ready = {context.slot.number, *(member.slot for member in settled if _has_disks(context, member.slot))}
    grown = growth(wanted.layout, bricks, found.replica, ready)
    if grown is None and not _is_held(found):
        return None
    if first := corrector(context):
        return Wait(f"volume {found.name} gets more bricks: {first.name} adds them, and has them healed")
    if grown is not None:
        _add(context, wanted, found, grown)
        if not grown.words:
            return None
    return _heal(found, {*found.bricks, *(wanted.named(grown.bricks) if grown is not None else ())})


def behind(clients: Mapping[str, Collection[str]], bricks: Collection[str]) -> str:
    """Why not every client knows all these bricks; empty when they do. `clients`: by brick, who is connected. Pure.

    A client is connected to all the bricks that it knows of, once for each definition of the volume that it uses.
    """
    missing = sorted(set(bricks) - clients.keys())
    if missing:
        return f"{missing[0]} is offline"
    most = max(clients, key=lambda brick: len(clients[brick]))
    least = min(clients, key=lambda brick: len(clients[brick]))
    if len(clients[most]) == len(clients[least]):
        return ""
    hosts = sorted({host for host in clients[most] if _count(clients[most], host) > _count(clients[least], host)})
    return f"{', '.join(hosts) or 'a client'} does not know {least} yet"


def _count(clients: Collection[str], host: str) -> int:
    return sum(other == host for other in clients)


def _add(context: Context, wanted: WantedVolume, found: VolumeInfo, grown: Growth) -> None:
    name, added = wanted.plan.name, wanted.named(grown.bricks)
    if grown.words and not _is_held(found):
        client.set_options(name, {HEALING: "off", HELD: _before(found)})
    context.report(f"adding to volume {name}: {', '.join(added)}")
    client.add_bricks(name, grown.words, added)


def _heal(found: VolumeInfo, bricks: Collection[str]) -> Wait | None:
    """Have everything healed, if every client knows all bricks by now."""
    name, why = found.name, ""
    for look in range(LOOKS):
        if look:
            time.sleep(LOOK_PAUSE_S)
        why = behind(client.clients(name), bricks)
        if not why:
            break
    if why:
        return Wait(
            f"volume {name} is healed once every client knows its new bricks: {why}",
            "is that brick up? Otherwise mount the volume anew there, or restart the machine that uses it",
        )
    client.set_options(name, {HEALING: _before(found)})
    if _before(found) == "on":
        _start_healing(name)
    client.set_options(name, {HELD: DONE})
    return None


def _is_held(found: VolumeInfo) -> bool:
    return found.options.get(HELD, DONE) != DONE


def _before(found: VolumeInfo) -> str:
    """Whether there is healing while it is not held back: `on`, or an operator's `off`."""
    return found.options[HELD] if _is_held(found) else found.options.get(HEALING, "on")


def _start_healing(name: str) -> None:
    for tries_left in range(STARTS, -1, -1):
        try:
            client.heal_full(name)
        except GlusterError:
            if not tries_left:
                raise
            time.sleep(START_PAUSE_S)
        else:
            return


def _has_disks(context: Context, slot: int) -> bool:
    view = context.views.get(slot)
    return view is not None and view.ready_disks
