"""The plan's volumes: made, tuned and started by the founder once, awaited, compared and completed by everybody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from firstboot.context import Context
from firstboot.errors import RefusedError
from firstboot.gluster import client, completion, marks, options, refill, removal
from firstboot.gluster.client import GlusterError, VolumeInfo
from firstboot.gluster.layout import PlacedBrick
from firstboot.gluster.pool import compare, corrector, others
from firstboot.gluster.shape import Shape, is_part_of, shape
from firstboot.gluster.turns import Turns
from firstboot.gluster.wanted import WantedVolume, wanted_volumes
from firstboot.paths import brick_mount, brick_path
from firstboot.phases import Done, Outcome, Wait

log = logging.getLogger(__name__)


def require_same(wanted: WantedVolume, found: VolumeInfo) -> tuple[PlacedBrick, ...]:
    """A volume's bricks; raises RefusedError when it is another one than the plan's, or a part of that. Pure."""
    bricks = wanted.placed(found)
    if bricks is not None and is_part_of(wanted.layout, bricks, found.replica, found.arbiter):
        return bricks
    raise RefusedError(
        f"there is a volume {found.name} already, but with other bricks: {' '.join(found.bricks)} "
        f"(replica {found.replica}, arbiter {found.arbiter}); the plan says {' '.join(wanted.names.values())}",
        hint=f"nothing was changed; look at it: gluster volume info {found.name}",
    )


def form(context: Context) -> Outcome:
    """Reach every volume started with every brick online, and complete where its members are there.

    Each has its turn, also when another one waits or fails; and before that all are kept closed and looked at.
    """
    every, turns = wanted_volumes(context), Turns()
    found = {info.name: info for info in client.volumes()}
    for wanted in every:
        turns.take(partial(_guard, context, wanted, found.get(wanted.plan.name)))
    removal.look(context, every, found)
    for wanted in every:
        turns.take(partial(_reach, context, wanted))
    outcome = turns.outcome()
    if isinstance(outcome, Wait):
        return outcome
    if outcome.detail and "domains" in context.finished:
        return Wait(outcome.detail, "start the machines of these slots: the volume is completed by itself")
    started = f"{len(every)} volume(s) started"
    return Done(f"{started}; {outcome.detail}" if outcome.detail else started)


def _guard(context: Context, wanted: WantedVolume, found: VolumeInfo | None) -> Outcome:
    """Keep a volume closed to who is no member. One that was never started is closed before it is."""
    if found is None:
        return Done()
    require_same(wanted, found)
    return (options.keep_closed(context, found) if found.status != "Created" else None) or Done()


def _reach(context: Context, wanted: WantedVolume) -> Outcome:
    """Reach one volume started with every brick online; the detail says what of the plan it does without."""
    found = _look(wanted)
    if found is None:
        waiting = _create(context, wanted) if context.is_founder else _await_creation(context, wanted)
        if waiting is not None:
            return waiting
        found = _look(wanted)
        assert found is not None, "glusterd made it"
    bricks = require_same(wanted, found)
    taken = removal.step(context, wanted, found, bricks) if found.status == "Started" else False
    if isinstance(taken, Wait):
        return taken
    if taken and (left := _look(wanted)) is not None:
        found, bricks = left, require_same(wanted, left)
    waiting = _bring_up(context, wanted, found) or completion.step(context, wanted, found, bricks)
    return waiting or Done(_lacking(context, wanted, bricks))


def _look(wanted: WantedVolume) -> VolumeInfo | None:
    return next((info for info in client.volumes() if info.name == wanted.plan.name), None)


def _create(context: Context, wanted: WantedVolume) -> Wait | None:
    """Make the volume. A folder of ours that an attempt left marked is cleaned first; only the founder creates."""
    name = wanted.plan.name
    waiting = _clean_marks(context, wanted)
    if waiting is not None:
        return waiting
    made = shape(wanted.layout, context.members)
    if made is None:
        return Wait(f"volume {name} can't be made without {_missing(context, wanted)}", "start those machines")
    context.report(f"creating volume {name}")
    try:
        client.create(name, made.words, wanted.named(made.bricks))
    except GlusterError as error:
        if marks.MARKED in error.text:
            return Wait(
                f"volume {name} can't be made yet: {error.text}, left by an attempt that was cut off",
                "the node of that brick cleans it by itself, if it is empty: trivet-node status there",
            )
        if error.is_unreachable or "Peer in Cluster" in error.text:
            return Wait(f"volume {name} can't be made yet: {error.text}", "the members are still meeting each other")
        raise
    return None


def _bring_up(context: Context, wanted: WantedVolume, found: VolumeInfo) -> Wait | None:
    """Tune and start a created volume. A started one is an operator's to tune."""
    name = wanted.plan.name
    if found.status == "Stopped":
        return Wait(f"volume {name} was stopped by an operator", f"gluster volume start {name}", retry_s=10.0)
    if found.status == "Created":
        for brick in wanted.placed(found) or ():
            if brick.slot == context.slot.number:
                marks.restore(found, brick_mount(name, brick.index), brick_path(name, brick.index))
        if not context.is_founder:
            return Wait(f"waiting for {_founder_name(context)} to start volume {name}")
        if waiting := _tune_and_start(context, wanted, found):
            return waiting
    if waiting := refill.step(context, wanted, found):
        return waiting
    try:
        online = client.online_bricks(name)
    except GlusterError as error:
        # A member whose part of the start failed, or that was cut off in it, keeps the volume as only created.
        if "is not started" not in error.text or corrector(context):
            raise
        client.start_anew(name)
        return Wait(f"volume {name} was not started on all nodes: {error.text}", "it is started there now")
    offline = [brick for brick in found.bricks if brick not in online]
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


def _tune_and_start(context: Context, wanted: WantedVolume, found: VolumeInfo) -> Wait | None:
    """Both while all are connected: who comes back in the middle of a change would never learn of it."""
    name = found.name
    steps: tuple[Callable[[], None], ...] = (
        lambda: options.tune(context, wanted.plan, found),
        lambda: client.start(name),
    )
    for step in steps:
        comparison = compare(client.pool(), others(context))
        away = [*comparison.absent, *(member for member, _ in comparison.unsettled)]
        if away:
            return Wait(
                f"volume {name} is started once {', '.join(member.name for member in away)} is connected",
                "is it powered on, and glusterd running there? trivet-node status there",
            )
        context.report(f"starting volume {name}")
        step()
    return None


def _lacking(context: Context, wanted: WantedVolume, bricks: tuple[PlacedBrick, ...]) -> str:
    """In words, what of the plan a volume does without; empty when it has all."""
    if len(bricks) == len(wanted.layout.bricks):
        return ""
    there, planned = len(bricks), len(wanted.layout.bricks)
    return f"volume {wanted.plan.name} has {there} of {planned} bricks, without {_missing(context, wanted)}"


def _missing(context: Context, wanted: WantedVolume) -> str:
    slots = dict.fromkeys(brick.slot for brick in wanted.layout.bricks if brick.slot not in context.members)
    return ", ".join(context.plan.slot(slot).name for slot in slots) or "members whose bricks come next"


def possible(context: Context, members: frozenset[int]) -> tuple[tuple[str, Shape | None], ...]:
    """How each volume of the plan could be made with these slots alone."""
    return tuple((wanted.plan.name, shape(wanted.layout, members)) for wanted in wanted_volumes(context))


def _await_creation(context: Context, wanted: WantedVolume) -> Wait:
    waiting = _clean_marks(context, wanted)
    return waiting or Wait(f"waiting for {_founder_name(context)} to create volume {wanted.plan.name}")


def _clean_marks(context: Context, wanted: WantedVolume) -> Wait | None:
    name = wanted.plan.name
    for brick in wanted.on(context.slot.number):
        waiting = marks.clean(name, brick_mount(name, brick.index), brick_path(name, brick.index))
        if waiting is not None:
            return waiting
    return None


def _founder_name(context: Context) -> str:
    founder = context.members.get(context.founder_slot or 0)
    return founder.name if founder else "the founder"
