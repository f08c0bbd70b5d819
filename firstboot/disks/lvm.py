"""LVM of brick disks: its facts, and the one next command that is still missing; the only caller of LVM's tools."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from firstboot.errors import RefusedError, TrivetError
from firstboot.run import run

MIB = 1024**2
POOL = "thin"
CHUNK_BYTES = 256 * 1024
"""Red Hat Gluster Storage's administration guide, "Brick configuration": 256 KiB chunks on single disks."""
METADATA_MIN_BYTES = 32 * MIB
METADATA_MAX_BYTES = 15 * 1024 * MIB
"""lvmthin(7): a thin_pool uses at most 15.81 GiB of metadata."""

# The devices file is off by default on Debian; said here too, so that an administrator's choice can't hide a brick.
DEVICES = ("--devicesfile", "")


@dataclass(frozen=True)
class PhysicalVolume:
    """A disk that LVM labelled; `group` is empty while it belongs to none."""

    path: str
    group: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """A volume group; sizes in bytes."""

    name: str
    tags: tuple[str, ...]
    extent_bytes: int
    extents: int


@dataclass(frozen=True)
class LogicalVolume:
    """A logical volume (`lv`); `attr` is lvs' lv_attr."""

    name: str
    tags: tuple[str, ...]
    size_bytes: int
    attr: str

    @property
    def is_active(self) -> bool:
        return len(self.attr) > 4 and self.attr[4] == "a"


@dataclass(frozen=True)
class WantedLv:
    """A thin lv for one volume; no size means an equal share of what the others leave."""

    name: str
    tags: tuple[str, ...]
    size_bytes: int | None


@dataclass(frozen=True)
class Wanted:
    """What should stand on one brick disk."""

    device: str
    group: str
    tags: tuple[str, ...]
    lvs: tuple[WantedLv, ...]


@dataclass(frozen=True)
class Facts:
    """What stands on that disk now."""

    physical: PhysicalVolume | None
    group: Group | None
    lvs: tuple[LogicalVolume, ...]


def group_name(identity: str, serial: str | None) -> str:
    """The volume group's name: from the serial where the disk has one, else a hash of what it is known by."""
    clean = re.sub(r"[^a-zA-Z0-9_]+", "", serial or "")[:40]
    return f"trivet-{clean or hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def next_command(wanted: Wanted, facts: Facts) -> tuple[str, ...] | None:
    """The next command that brings the disk nearer to what is wanted, or None when it is there.

    Pure, so that a start after a crash at any point goes on where it stopped. Raises RefusedError when the disk
    belongs to another group, or does not hold what the plan asks for.
    """
    if facts.physical is None:
        # No --yes: a signature that appeared meanwhile makes pvcreate ask, and without a terminal give up.
        return ("pvcreate", *DEVICES, wanted.device)
    if facts.physical.group not in {"", wanted.group}:
        raise RefusedError(f"{wanted.device} belongs to volume group {facts.physical.group}, not {wanted.group}")
    if facts.physical.group == "" or facts.group is None:
        tags = [part for tag in wanted.tags for part in ("--addtag", tag)]
        return ("vgcreate", *DEVICES, *tags, wanted.group, wanted.device)
    lvs = {lv.name: lv for lv in facts.lvs}
    if POOL not in lvs:
        return _pool_command(facts.group)
    if not lvs[POOL].is_active:
        return ("vgchange", *DEVICES, "--activate", "y", wanted.group)
    sizes = lv_sizes(wanted, pool_bytes=lvs[POOL].size_bytes, extent_bytes=facts.group.extent_bytes)
    for lv in wanted.lvs:
        if lv.name not in lvs:
            return _lv_command(wanted.group, lv, sizes[lv.name])
        if not lvs[lv.name].is_active:
            return ("lvchange", *DEVICES, "--activate", "y", f"{wanted.group}/{lv.name}")
    return None


def metadata_bytes(disk_bytes: int) -> int:
    """The thin_pool's metadata: half a percent, within LVM's limits, in whole MiB."""
    share = disk_bytes // 200
    return min(max(share - share % MIB, METADATA_MIN_BYTES), METADATA_MAX_BYTES)


def lv_sizes(wanted: Wanted, *, pool_bytes: int, extent_bytes: int) -> dict[str, int]:
    """Size of every lv in whole extents; raises RefusedError when they don't fit: a full thin_pool stops I/O."""
    fixed = sum(lv.size_bytes or 0 for lv in wanted.lvs)
    sharing = sum(1 for lv in wanted.lvs if lv.size_bytes is None)
    left = pool_bytes - fixed
    if left < 0 or (sharing and left // sharing < 512 * MIB):
        names = ", ".join(lv.name for lv in wanted.lvs)
        raise RefusedError(
            f"{wanted.device} is too small: {names} do not fit into {pool_bytes // MIB} MiB",
            hint="give the volumes smaller size_bytes in the profile, or the machine a larger disk",
        )
    sizes = {lv.name: left // sharing if lv.size_bytes is None else lv.size_bytes for lv in wanted.lvs}
    return {name: size - size % extent_bytes for name, size in sizes.items()}


def _pool_command(group: Group) -> tuple[str, ...]:
    metadata = metadata_bytes(group.extents * group.extent_bytes)
    metadata_extents = -(-metadata // group.extent_bytes)
    # LVM keeps a spare of the metadata's size for repair (lvmthin(7), "Metadata spare LV").
    data_extents = group.extents - 2 * metadata_extents
    return (
        "lvcreate",
        *DEVICES,
        "--type",
        "thin-pool",
        "--name",
        POOL,
        "--extents",
        str(data_extents),
        "--poolmetadatasize",
        f"{metadata_extents * group.extent_bytes}b",
        "--chunksize",
        f"{CHUNK_BYTES}b",
        "--zero",
        "n",
        group.name,
    )


def _lv_command(group: str, lv: WantedLv, size_bytes: int) -> tuple[str, ...]:
    tags = [part for tag in lv.tags for part in ("--addtag", tag)]
    size = ("--virtualsize", f"{size_bytes}b")
    return ("lvcreate", *DEVICES, "--type", "thin", "--name", lv.name, *size, *tags, "--thinpool", POOL, group)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    pv_name: str = ""
    vg_name: str = ""
    vg_tags: str = ""
    vg_extent_size: int = 0
    vg_extent_count: int = 0
    lv_name: str = ""
    lv_tags: str = ""
    lv_size: int = 0
    lv_attr: str = ""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    pv: tuple[_Row, ...] = ()
    vg: tuple[_Row, ...] = ()
    lv: tuple[_Row, ...] = ()


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    report: tuple[_Section, ...]


def read_physical_volumes() -> dict[str, PhysicalVolume]:
    """Every disk with an LVM label, by path."""
    return parse_physical_volumes(_report("pvs", "pv_name,vg_name,vg_tags"))


def read_facts(wanted: Wanted) -> Facts:
    """What stands on the disk now."""
    physical = read_physical_volumes().get(wanted.device)
    if physical is None or physical.group != wanted.group:
        return Facts(physical, None, ())
    groups = parse_groups(_report("vgs", "vg_name,vg_tags,vg_extent_size,vg_extent_count", wanted.group))
    lvs = parse_lvs(_report("lvs", "lv_name,lv_tags,lv_size,lv_attr", wanted.group))
    return Facts(physical, groups[0] if groups else None, lvs)


def parse_physical_volumes(text: str) -> dict[str, PhysicalVolume]:
    """The report of pvs."""
    rows = [row for section in _parse(text) for row in section.pv]
    return {row.pv_name: PhysicalVolume(row.pv_name, row.vg_name, _tags(row.vg_tags)) for row in rows}


def parse_groups(text: str) -> tuple[Group, ...]:
    """The report of vgs."""
    rows = [row for section in _parse(text) for row in section.vg]
    return tuple(Group(row.vg_name, _tags(row.vg_tags), row.vg_extent_size, row.vg_extent_count) for row in rows)


def parse_lvs(text: str) -> tuple[LogicalVolume, ...]:
    """The report of lvs."""
    rows = [row for section in _parse(text) for row in section.lv]
    return tuple(LogicalVolume(row.lv_name, _tags(row.lv_tags), row.lv_size, row.lv_attr) for row in rows)


def _report(program: str, columns: str, *names: str) -> str:
    shape = ("--reportformat", "json", "--units", "b", "--nosuffix", "--options", columns)
    return run([program, *DEVICES, *shape, *names], timeout_s=120).stdout


def _parse(text: str) -> tuple[_Section, ...]:
    try:
        return _Report.model_validate_json(text).report
    except ValidationError as error:
        raise TrivetError(f"LVM printed what this version can't read: {error.errors()[0]['msg']}") from None


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag for tag in text.split(",") if tag)
