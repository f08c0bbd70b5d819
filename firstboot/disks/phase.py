"""The phase `disks`: choose this machine's brick disks, make the bricks, mount them."""

from __future__ import annotations

from firstboot.context import Context
from firstboot.disks.inventory import read_inventory
from firstboot.disks.mounts import is_mounted
from firstboot.disks.preparation import prepare
from firstboot.disks.records import read_records
from firstboot.disks.selection import Missing, Refused, Want, choose
from firstboot.errors import RefusedError
from firstboot.phases import Done, Outcome, Wait
from firstboot.seed import Seed


def step(context: Context) -> Outcome:
    """Reach mounted bricks; raises RefusedError on any doubt, with nothing written."""
    wants = wanted(context.claimed_seed)
    bricks = [brick for want in wants for i in range(want.brick_class.count) for brick in want.bricks(i)]
    if not bricks:
        return Done("this machine has no bricks")
    records = read_records()
    recorded = all(
        (record := records.get(want.name, i)) is not None and record.ready
        for want in wants
        for i in range(want.brick_class.count)
    )
    if recorded and all(is_mounted(brick) for brick in bricks):
        return Done(f"{len(bricks)} brick(s) mounted")
    context.report("looking at the disks")
    decision = choose(wants, read_inventory(), records)
    if isinstance(decision, Refused):
        raise RefusedError(decision.reason, hint=decision.hint)
    if isinstance(decision, Missing):
        return Wait(decision.reason, decision.hint, retry_s=5.0)
    for placement in decision.placements:
        prepare(placement, context.plan.volumes, context.report)
    return Done(f"{len(bricks)} brick(s) on " + ", ".join(p.disk.path for p in decision.placements))


def wanted(seed: Seed) -> tuple[Want, ...]:
    """What brick disks a seed asks of its machine; none in mode virt, and none for a class that no volume uses."""
    plan = seed.plan
    if not plan.mode.has_gluster:
        return ()
    wants = []
    for brick_class in plan.bricks:
        volumes = tuple(volume.name for volume in plan.volumes if volume.bricks == brick_class.name)
        rule = seed.overrides.disks.get(brick_class.name, brick_class.rule)
        if volumes:
            wants.append(Want(brick_class, rule, seed.site.id, seed.slot.number, volumes))
    return tuple(wants)
