"""Turns a chosen disk into mounted bricks. Every step looks first: it can be cut off anywhere and done again."""

from __future__ import annotations

from collections.abc import Callable

from firstboot.disks import lvm
from firstboot.disks.inventory import Disk, read_inventory, read_xfs
from firstboot.disks.mounts import mount_device
from firstboot.disks.records import DiskRecord, read_records, write_records
from firstboot.disks.selection import Placement
from firstboot.disks.tags import LABEL_NEW, LABEL_READY, Brick, group_tags, lv_tags, read_tag, require_tag, write_tag
from firstboot.errors import RefusedError, TrivetError
from firstboot.files import sweep
from firstboot.plan import VolumePlan
from firstboot.run import CommandError, run

MKFS_LIMIT_S = 900
MAX_COMMANDS = 100


def prepare(placement: Placement, volumes: tuple[VolumePlan, ...], report: Callable[[str], None]) -> None:
    """Make and mount every brick of a disk; raises RefusedError when the disk is not what was planned with."""
    want, disk = placement.want, placement.disk
    record = DiskRecord(
        brick_class=want.name, index=placement.index, identity=disk.identity, size_bytes=disk.size_bytes
    )
    if placement.fresh:
        require_unchanged(disk)
        write_records(read_records().put(record))
    known = read_records().get(want.name, placement.index)
    finished = known is not None and known.ready
    bricks = want.bricks(placement.index)
    if want.brick_class.layout == "plain":
        devices = {brick: disk.path for brick in bricks}
    else:
        devices = _prepare_lvs(placement, volumes, report)
    for brick, device in devices.items():
        _prepare_file_system(device, brick, report, finished=finished)
    done = record.model_copy(update={"ready": True})
    records = read_records()
    if records.get(want.name, placement.index) != done:
        write_records(records.put(done))


def require_unchanged(planned: Disk) -> None:
    """Look at the disk once more; raises RefusedError when it is not exactly what was decided upon."""
    now = next((disk for disk in read_inventory() if disk.path == planned.path), None)
    if now != planned:
        raise RefusedError(
            f"{planned.describe()} changed between the choice and the first write; nothing was written",
            hint="is somebody else using this disk? it is looked at again in a moment",
        )


def mkfs_command(device: str, brick: Brick, *, again: bool) -> tuple[str, ...]:
    """mkfs.xfs(8) with 512-byte inodes, which hold Gluster's attributes; by itself it refuses a known signature."""
    force = ("-f",) if again else ()
    return ("mkfs.xfs", "-q", *force, "-i", "size=512", "-m", f"uuid={brick.xfs_uuid}", "-L", LABEL_NEW, device)


def wanted_lvs(placement: Placement, volumes: tuple[VolumePlan, ...]) -> lvm.Wanted:
    """What LVM should hold for a placement."""
    want, disk = placement.want, placement.disk
    sizes = {volume.name: volume.size_bytes for volume in volumes}
    return lvm.Wanted(
        device=disk.path,
        group=(disk.lvm.group if disk.lvm else "") or lvm.group_name(disk.identity, disk.serial),
        tags=group_tags(want.site, want.slot, want.name, placement.index),
        lvs=tuple(
            lvm.WantedLv(f"brick-{brick.volume}", lv_tags(brick), sizes[brick.volume])
            for brick in want.bricks(placement.index)
        ),
    )


def _prepare_lvs(
    placement: Placement, volumes: tuple[VolumePlan, ...], report: Callable[[str], None]
) -> dict[Brick, str]:
    wanted = wanted_lvs(placement, volumes)
    for _ in range(MAX_COMMANDS):
        command = lvm.next_command(wanted, lvm.read_facts(wanted))
        if command is None:
            bricks = placement.want.bricks(placement.index)
            return {brick: f"/dev/{wanted.group}/brick-{brick.volume}" for brick in bricks}
        report(f"{command[0]} on {wanted.device}")
        run(command, timeout_s=300)
    raise TrivetError(f"LVM on {wanted.device} does not come to an end", hint="look at it: pvs, vgs, lvs")


def _prepare_file_system(device: str, brick: Brick, report: Callable[[str], None], *, finished: bool) -> None:
    mark, content = read_xfs(device)
    if finished and (mark is None or mark.label != LABEL_READY):
        raise RefusedError(
            f"{device} held a finished brick of volume {brick.volume}, but does not look like it any more",
            hint=f"nothing was written; its file system may be damaged, look at it by hand: xfs_repair -n {device}",
        )
    if not content:
        report(f"formatting {device} for volume {brick.volume}")
        run(mkfs_command(device, brick, again=False), timeout_s=MKFS_LIMIT_S)
    elif mark is None or mark.uuid != brick.xfs_uuid or mark.label not in {LABEL_NEW, LABEL_READY}:
        raise RefusedError(
            f"{device} should hold a brick of volume {brick.volume}, but has {', '.join(content)}",
            hint="nothing was written; look at the disk by hand",
        )
    ready = mark is not None and mark.label == LABEL_READY
    report(f"mounting {device} for volume {brick.volume}")
    try:
        point = mount_device(device, brick)
    except CommandError:
        if ready or mark is None:
            raise
        # Cut off in the middle of mkfs: it says to be new, so that nothing was ever kept in it.
        report(f"formatting {device} again for volume {brick.volume}")
        run(mkfs_command(device, brick, again=True), timeout_s=MKFS_LIMIT_S)
        point = mount_device(device, brick)
    if ready:
        require_tag(point, brick)
        return
    sweep([point])
    if read_tag(point) is None:
        write_tag(point, brick)
    require_tag(point, brick)
    run(["xfs_io", "-c", f"label -s {LABEL_READY}", point], timeout_s=60)
