"""Takes who was removed out of Gluster: its bricks out of the volumes where that is safe, then itself."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from firstboot.cluster.members import Members
from firstboot.cluster.names import host_name
from firstboot.context import Context, Look
from firstboot.gluster import client, heals, heir, inplace, marks, vacancies
from firstboot.gluster.client import VolumeInfo
from firstboot.gluster.inplace import InPlace
from firstboot.gluster.layout import Layout, PlacedBrick
from firstboot.gluster.pool import corrector
from firstboot.gluster.shape import is_part_of
from firstboot.gluster.wanted import WantedVolume, wanted_volumes
from firstboot.paths import brick_path
from firstboot.phases import Wait

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reduction:
    """Bricks to take out of a volume, and the words for `gluster volume remove-brick` before them."""

    words: tuple[str, ...]
    bricks: tuple[PlacedBrick, ...]


@dataclass(frozen=True)
class Obstacle:
    """Why a volume can't do without these bricks, whatever comes instead of them, and what to do."""

    reason: str
    hint: str


def reduction(
    volume: str, layout: Layout, bricks: tuple[PlacedBrick, ...], copies: int, leaving: Collection[int]
) -> Reduction | InPlace | Obstacle | None:
    """What is to be taken out of a volume of these bricks, in Gluster's order; None when it has none of those slots.

    Gluster can take out as many copies from every set, and nothing moves. What would leave less than two copies or
    lose a data brick beside an arbiter stays in its place, and so does what only part of the sets have, as long as
    every set keeps a brick with data. Pure.
    """
    going = tuple(brick for brick in bricks if brick.slot in leaving)
    if not going:
        return None
    kept = tuple(brick for brick in bricks if brick.slot not in leaving)
    sets = [bricks[at : at + max(copies, 1)] for at in range(0, len(bricks), max(copies, 1))]
    left = {sum(brick.slot not in leaving for brick in members) for members in sets}
    count = min(left)
    if len(left) == 1 and is_part_of(layout, kept, count, 0):
        return Reduction(("replica", str(count)), going)
    # With fewer copies than planned there is no arbiter: firstboot.gluster.shape.
    arbiter = layout.arbiter if copies == layout.set_size else 0
    if (stays := inplace.in_place(bricks, copies, arbiter, leaving)) is not None:
        return stays
    return Obstacle(
        f"volume {volume} keeps data on it that is nowhere else",
        f"move that brick to another machine first (gluster volume replace-brick {volume} OLD NEW commit force), or "
        f"its data (gluster volume remove-brick {volume} BRICKS start, later commit)",
    )


def step(context: Context, wanted: WantedVolume, found: VolumeInfo, bricks: tuple[PlacedBrick, ...]) -> Wait | bool:
    """Take the bricks of removed nodes out of a volume, once the copies that stay are online and whole.

    Whether any were taken out.
    """
    leaving = vacancies.slots(context)
    plan = reduction(found.name, wanted.layout, bricks, found.replica, leaving)
    if plan is None or "domains" not in context.finished:
        return False
    if isinstance(plan, Obstacle):
        return Wait(f"a removed node's bricks are still in use: {plan.reason}", plan.hint)
    if isinstance(plan, InPlace):
        assert context.document is not None, "without it no slot is vacant"
        return Wait(*inplace.waiting(found.name, plan.slots, context.document))
    stays = [brick for brick in bricks if brick not in plan.bricks]
    obstacle = _unsafe(context, wanted, found, stays)
    if obstacle is not None:
        return obstacle
    if first := corrector(context):
        return Wait(f"volume {found.name}: {first.name} takes out the bricks of a removed node")
    going = wanted.named(plan.bricks)
    context.report(f"taking out of volume {found.name}: {', '.join(going)}")
    client.remove_bricks(found.name, plan.words, going)
    return True


def detach(context: Context) -> Wait | None:
    """Take removed nodes out of the pool once no volume has bricks on them."""
    names = vacancies.host_names(context)
    if not names or "domains" not in context.finished:
        return None
    going = {name for peer in client.pool().peers for name in names.intersection(peer.names)}
    used = {brick.partition(":")[0]: info.name for info in client.volumes() for brick in info.bricks} if going else {}
    stays: Wait | None = None
    for name in sorted(going):
        if name in used:
            stays = Wait(
                f"{name}, which was removed, stays in the pool: volume {used[name]} has bricks on it",
                f"if the volume is not of the plan, move them: gluster volume info {used[name]}",
            )
            continue
        if first := corrector(context):
            return Wait(f"{first.name} takes {name}, which was removed, out of the pool")
        context.report(f"taking {name}, which was removed, out of the pool")
        client.detach(name)
        heir.look(context)
    return stays


def occupation(context: Context, members: Members, slot: int) -> str:
    """Why nobody can have a slot's place in Gluster yet: its former node is to leave the pool; empty when one can."""
    if members.slots[slot].node_id is not None:
        return ""
    name = host_name(members.slots[slot].name, context.claimed_seed.site.name)
    if all(name not in peer.names for peer in heir.look(context).peers) or _is_inherited(context, members, slot):
        return ""
    return f"the node that held slot {slot} is still in the pool: the members take it out first"


def _is_inherited(context: Context, members: Members, slot: int) -> bool:
    """Whether all that the pool has of a slot's former node stays in place for the machine that comes instead."""
    users = inplace.users(context, members, slot, client.volumes())
    every = {wanted.plan.name: wanted for wanted in wanted_volumes(context)}
    vacant = {number for number, record in members.slots.items() if record.node_id is None}
    for info in users:
        wanted = every.get(info.name)
        bricks = wanted.placed(info) if wanted is not None else None
        if wanted is None or bricks is None:
            return False
        if not isinstance(reduction(info.name, wanted.layout, bricks, info.replica, vacant), InPlace):
            return False
    return bool(users)


def _unsafe(context: Context, wanted: WantedVolume, found: VolumeInfo, stays: list[PlacedBrick]) -> Wait | None:
    """Why nothing is to be taken out now: the copies that stay are not all there, or not whole."""
    online = client.online_bricks(found.name)
    offline = [name for brick in stays if (name := wanted.names[brick]) not in online]
    if offline:
        return Wait(f"volume {found.name}: a removed node's bricks stay until these are online: {', '.join(offline)}")
    epoch = context.document.epoch if context.document is not None else 0
    healing = Wait(f"volume {found.name} is healing: a removed node's bricks stay until it is done")
    if context.look.epoch != epoch:
        return Wait(f"volume {found.name}: this node has not looked at its bricks since the removal")
    if found.name in context.look.healing or _owes(context, wanted, found.name, stays):
        return healing
    for slot in sorted({brick.slot for brick in stays} - {context.slot.number}):
        name, view = context.plan.slot(slot).name, context.views.get(slot)
        if view is None or view.epoch != epoch:
            return Wait(f"volume {found.name}: {name} has not heard of the removal yet")
        # It shows a document as soon as it has it, and looks at its bricks some time after that.
        if view.looked != epoch:
            return Wait(f"volume {found.name}: {name} has not looked at its bricks since the removal")
        if found.name in view.healing:
            return healing
    return None


def look(context: Context, every: Collection[WantedVolume], found: Mapping[str, VolumeInfo]) -> None:
    """Have the view say of which volumes a copy that stays lacks something that a brick here has.

    `found`: by name, what the pool has of the plan's volumes. Nothing new is said where one can't be looked at.
    """
    members, healing = context.document, []
    leaving = vacancies.open_slots(members)
    for wanted in every:
        info = found.get(wanted.plan.name)
        if info is not None and _is_healing(context, wanted, info, leaving):
            healing.append(info.name)
        elif info is None and any(marks.volume_id(path) is not None for path in _paths(context, wanted)):
            log.info("volume %s is not known here, but its brick is there: not looked at", wanted.plan.name)
            return
    context.look = Look(tuple(sorted(healing)), members.epoch if members is not None else None)


def _is_healing(context: Context, wanted: WantedVolume, info: VolumeInfo, leaving: Collection[int]) -> bool:
    """Whether bricks of these slots are to leave the volume, and a copy that stays lacks something that is here."""
    bricks = wanted.placed(info) or ()
    plan = reduction(info.name, wanted.layout, bricks, info.replica, leaving)
    stays = [brick for brick in bricks if brick.slot not in leaving]
    return isinstance(plan, Reduction) and _owes(context, wanted, info.name, stays)


def _owes(context: Context, wanted: WantedVolume, volume: str, stays: Collection[PlacedBrick]) -> bool:
    """Whether a copy that stays lacks something that a brick here has."""
    staying = {wanted.names[brick] for brick in stays}
    names = [mark for mark, brick in heals.copies(volume).items() if brick in staying]
    return any(heals.owed(path, names) for path in _paths(context, wanted))


def _paths(context: Context, wanted: WantedVolume) -> list[Path]:
    """The folders that this node's bricks of a volume are."""
    return [brick_path(wanted.plan.name, brick.index) for brick in wanted.on(context.slot.number)]
