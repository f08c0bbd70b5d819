"""Disks, wants and records for the tests of the disks room."""

from __future__ import annotations

from dataclasses import replace

from firstboot.disks.inventory import Content, Disk, XfsMark
from firstboot.disks.lvm import PhysicalVolume
from firstboot.disks.records import DiskRecord, DiskRecords
from firstboot.disks.selection import Want
from firstboot.disks.tags import LABEL_READY, Brick, group_tags
from firstboot.plan import GIB, BrickClass, DiskRule

SITE = "5" * 32
SLOT = 2

BLANK = Disk(
    path="/dev/vdb",
    links=("/dev/disk/by-id/virtio-one",),
    size_bytes=100 * GIB,
    bus="virtio",
    model=None,
    serial="one",
    wwn=None,
    rotational=False,
    removable=False,
    read_only=False,
    content=(),
    uses=(),
    is_boot=False,
    is_seed=False,
)
SYSTEM = replace(
    BLANK,
    path="/dev/vda",
    links=(),
    serial=None,
    content=(Content("gpt", "a gpt signature"), Content("partition", "partition /dev/vda3 trivet-root-a")),
    uses=("mounted at /",),
    is_boot=True,
)


def blank(letter: str, **changes: object) -> Disk:
    """A blank disk /dev/vd<letter> with a serial of its own."""
    path = f"/dev/vd{letter}"
    return replace(BLANK, **{"path": path, "links": (), "serial": f"serial-{letter}", **changes})  # type: ignore[arg-type]


def want(
    rule: DiskRule | None = None,
    *,
    name: str = "ssd",
    count: int = 1,
    layout: str = "plain",
    volumes: tuple[str, ...] = ("data",),
) -> Want:
    made = BrickClass(name=name, rule=rule or DiskRule(), count=count, layout=layout)  # type: ignore[arg-type]
    return Want(made, made.rule, SITE, SLOT, volumes)


def own_plain(disk: Disk, index: int = 0, label: str = LABEL_READY, site: str = SITE) -> Disk:
    """The disk as it is once it is a plain brick."""
    mark = XfsMark(Brick(site, SLOT, "data", index).xfs_uuid, label)
    return replace(disk, xfs=mark, content=(Content("xfs", f"a xfs signature labelled {label}"),))


def own_thin(disk: Disk, index: int = 0, site: str = SITE) -> Disk:
    """The disk as it is once it has its volume group."""
    volume = PhysicalVolume(disk.path, "trivet-x", group_tags(site, SLOT, "ssd", index))
    return replace(disk, lvm=volume, content=(Content("LVM2_member", "a LVM2_member signature"),))


def record(disk: Disk, index: int = 0, *, ready: bool = False) -> DiskRecords:
    return DiskRecords().put(
        DiskRecord(brick_class="ssd", index=index, identity=disk.identity, size_bytes=disk.size_bytes, ready=ready)
    )
