"""Adds the bricks of members that came after a volume was made, and has them healed once every client knows them."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping

from firstboot.context import Context
from firstboot.gluster import client, marks
from firstboot.gluster.client import GlusterError, UnansweredError, VolumeInfo
from firstboot.gluster.layout import PlacedBrick
from firstboot.gluster.pool import compare, corrector, others
from firstboot.gluster.shape import Growth, growth
from firstboot.gluster.wanted import WantedVolume
from firstboot.paths import brick_mount, brick_path
from firstboot.phases import Wait

HEALING = "cluster.self-heal-daemon"
HELD = "user.trivet.heal"
"""While healing is held back, what HEALING is to be afterwards; glusterd can't forget it, so later it is DONE."""
DONE = "done"
LOOKS, LOOK_PAUSE_S = 20, 0.5
"""So often, at once; clients take a new brick up within a second."""
STARTS, START_PAUSE_S = 20, 0.5
"""Self-heal daemons take a moment to start."""
AGAIN_S = 30.0
"""What was refused is not tried again sooner: each time healing is off for a moment, and all clients hear of it."""

log = logging.getLogger(__name__)

_refused: dict[str, tuple[float, Wait]] = {}
"""By volume, when bricks were refused last, and why."""


def step(context: Context, wanted: WantedVolume, found: VolumeInfo, bricks: tuple[PlacedBrick, ...]) -> Wait | None:
    """Add what can be added now, and go on with what an earlier step began; of those who can, the lowest slot does.

    A client that writes as if there were only the former copies leaves no mark that the new one lacks that. What
    was healed before would be taken for whole; so nothing is healed as long as there is such a client.
    """
    marked = _clean_own(context, wanted, bricks)
    settled = compare(client.pool(), others(context)).settled
    ready = {context.slot.number, *(member.slot for member in settled if _has_disks(context, member.slot))}
    grown = growth(wanted.layout, bricks, found.replica, ready) if marked is None else None
    if grown is None and not _is_held(found):
        return _once_up(context, marked)
    if first := corrector(context):
        return Wait(f"volume {found.name} gets more bricks: {first.name} adds them, and has them healed")
    if grown is not None:
        refused = _add(context, wanted, found, grown)
        if refused is not None or not grown.words:
            return _once_up(context, refused)
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


def _once_up(context: Context, waiting: Wait | None) -> Wait | None:
    """On the way up a brick that can't be added is no reason to wait: the volume does without it."""
    return waiting if "domains" in context.finished else None


def _clean_own(context: Context, wanted: WantedVolume, bricks: Collection[PlacedBrick]) -> Wait | None:
    """Take off marks of folders here that are still to be added; Wait while one can't be added for that."""
    name = wanted.plan.name
    for brick in wanted.on(context.slot.number):
        if brick not in bricks:
            mount, folder = brick_mount(name, brick.index), brick_path(name, brick.index)
            waiting = marks.clean_surplus(name, wanted.names[brick], mount, folder)
            if waiting is not None:
                return waiting
    return None


def _add(context: Context, wanted: WantedVolume, found: VolumeInfo, grown: Growth) -> Wait | None:
    """Add bricks; Wait when that is refused, now or a moment ago, and healing is as it was before then."""
    name, added = wanted.plan.name, wanted.named(grown.bricks)
    refused_s, refusal = _refused.get(name, (-AGAIN_S, None))
    if time.monotonic() - refused_s < AGAIN_S:
        return refusal
    if grown.words and not _is_held(found):
        client.set_options(name, {HEALING: "off", HELD: _before(found)})
    context.report(f"adding to volume {name}: {', '.join(added)}")
    try:
        client.add_bricks(name, grown.words, added)
    except UnansweredError:
        raise  # it may be done still
    except GlusterError as error:
        if grown.words:
            _put_back(found)
        refusal = _refusal(context, wanted, grown.bricks, error)
        if not error.is_unreachable:
            _refused[name] = time.monotonic(), refusal
        log.warning("%s", refusal.reason)
        return refusal
    _refused.pop(name, None)
    return None


def _put_back(found: VolumeInfo) -> None:
    """Heal again as before, unless the bricks are there: then the addition failed on another node alone."""
    try:
        if any(info.name == found.name and info.bricks == found.bricks for info in client.volumes()):
            client.set_options(found.name, {HEALING: _before(found), HELD: DONE})
    except GlusterError as error:
        log.error("healing of volume %s stays off until its bricks are added: %s", found.name, error)


def _refusal(context: Context, wanted: WantedVolume, bricks: Collection[PlacedBrick], error: GlusterError) -> Wait:
    name = wanted.plan.name
    if marks.MARKED not in error.text:
        return Wait(f"volume {name} can't get more bricks yet: {error.text}", error.hint)
    slots = {wanted.names[brick]: brick.slot for brick in bricks}
    marked = blamed(error.text, slots, context.slot.number)
    told = ", ".join(f"{brick} of {context.plan.slot(slots[brick]).name}" for brick in marked)
    return Wait(
        f"volume {name} can't get more bricks: surplus mark of a volume on {told}",
        "that node takes it off by itself if the folder is empty: trivet-node status there",
    )


def blamed(text: str, bricks: Mapping[str, int], own_slot: int) -> list[str]:
    """Which of these bricks, by name with their slots, glusterd's sentence is of; all, when it can't be told. Pure.

    It names a path, and the host where it is another one than that which was asked.
    """
    same_path = [name for name in bricks if name.partition(":")[2] in text]
    same_host = [name for name in same_path if name.partition(":")[0] in text]
    own = [name for name in same_path if bricks[name] == own_slot]
    return same_host or own or same_path or list(bricks)


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
