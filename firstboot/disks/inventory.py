"""What disks this machine has, read from lsblk, wipefs, LVM and the kernel; reading changes nothing."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from firstboot.disks.lvm import PhysicalVolume, read_physical_volumes
from firstboot.errors import TrivetError
from firstboot.run import run
from firstboot.seed import LABEL as SEED_LABEL

SAMPLE_BYTES = 1024 * 1024
UNREADABLE = "unreadable"
BY_PATH = "path="
"""How the identity of a disk begins that has neither serial nor WWN: after a restart that may be another disk."""
COLUMNS = "PATH,TYPE,SIZE,TRAN,SUBSYSTEMS,MODEL,SERIAL,WWN,ROTA,RM,RO,LABEL,PARTLABEL,MOUNTPOINTS"
SYSTEM_MOUNTS = frozenset({"/", "/var", "/usr", "/boot", "/etc"})
SYSTEM_PARTITIONS = frozenset({"trivet-bios", "trivet-esp", "trivet-root-a", "trivet-root-b", "trivet-state"})


@dataclass(frozen=True)
class Content:
    """Something on a disk: kind is a wipefs type, `partition`, `data` (no known signature) or `unreadable`."""

    kind: str
    text: str


@dataclass(frozen=True)
class XfsMark:
    """An XFS straight on a device."""

    uuid: str
    label: str


@dataclass(frozen=True)
class Disk:
    """A whole disk or loop device. `bus` is a DiskRule's word for it, or None for a kind that has none."""

    path: str
    links: tuple[str, ...]
    size_bytes: int
    bus: str | None
    model: str | None
    serial: str | None
    wwn: str | None
    rotational: bool
    removable: bool
    read_only: bool
    content: tuple[Content, ...]
    uses: tuple[str, ...]
    is_boot: bool
    is_seed: bool
    xfs: XfsMark | None = None
    lvm: PhysicalVolume | None = None

    @property
    def identity(self) -> str:
        """What stays with the hardware where it has such a thing, else the path."""
        if self.wwn or self.serial:
            return f"wwn={self.wwn or ''} serial={self.serial or ''}"
        return f"{BY_PATH}{self.path}"

    def describe(self) -> str:
        """A few words for a person."""
        serial = f", serial {self.serial}" if self.serial else ""
        return f"{self.path} ({self.size_bytes / 1024**3:.1f} GiB{serial})"


class _Signature(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str
    uuid: str | None = None
    label: str | None = None


class _Signatures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    signatures: tuple[_Signature, ...] = ()


class BlockDevice(BaseModel):
    """A device as lsblk prints it, with what is stacked on it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    path: str
    type: str
    size: int
    tran: str | None = None
    subsystems: str | None = None
    model: str | None = None
    serial: str | None = None
    wwn: str | None = None
    rota: bool = False
    rm: bool = False
    ro: bool = False
    label: str | None = None
    partlabel: str | None = None
    mountpoints: tuple[str | None, ...] = ()
    children: tuple[BlockDevice, ...] = ()

    def tree(self) -> tuple[BlockDevice, ...]:
        """This device and all that is stacked on it."""
        return (self, *(below for child in self.children for below in child.tree()))


class BlockDevices(BaseModel):
    """lsblk's JSON document."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    blockdevices: tuple[BlockDevice, ...] = ()


def read_inventory() -> tuple[Disk, ...]:
    """Every whole disk of this machine, sorted by path."""
    listing = run(["lsblk", "--json", "--bytes", "--tree", "--output", COLUMNS], timeout_s=60).stdout
    links = _links(Path("/dev/disk/by-id"))
    devices = [d for d in parse_lsblk(listing) if d.type in {"disk", "loop"} and d.size > 0]
    signatures = {d.path: read_signatures(d.path) for d in devices}
    has_lvm = any(s.type == "LVM2_member" for found in signatures.values() for s in found)
    lvm = read_physical_volumes() if has_lvm else {}
    return tuple(
        describe(
            d,
            signatures=signatures[d.path],
            sample=_sample(d.path, d.size),
            exclusive=_is_claimed(d.path),
            links=links.get(d.path, ()),
            lvm=lvm.get(d.path),
        )
        for d in sorted(devices, key=lambda d: (len(d.path), d.path))
    )


def parse_lsblk(text: str) -> tuple[BlockDevice, ...]:
    """lsblk's JSON; raises TrivetError when it is not that."""
    try:
        return BlockDevices.model_validate_json(text).blockdevices
    except ValidationError as error:
        raise TrivetError(f"lsblk printed what this version can't read: {error.errors()[0]['msg']}") from None


def describe(
    device: BlockDevice,
    *,
    signatures: tuple[_Signature, ...],
    sample: Content | None,
    exclusive: bool,
    links: tuple[str, ...],
    lvm: PhysicalVolume | None,
) -> Disk:
    """Put one disk's facts together."""
    tree = device.tree()
    mounts = [m for d in tree for m in d.mountpoints if m]
    labels = {d.partlabel for d in tree if d.partlabel}
    content = [Content(s.type, _signature_text(s)) for s in signatures]
    content += [_partition(d) for d in tree if d.type == "part"]
    if sample is not None and not content:
        content.append(sample)
    uses = [f"mounted at {m}" for m in mounts]
    uses += [f"part of {d.path}" for d in device.children if d.type != "part"]
    if exclusive and not uses:
        uses.append("held by the kernel (mounted elsewhere, or part of another device)")
    xfs = next((s for s in signatures if s.type == "xfs"), None)
    return Disk(
        path=device.path,
        links=links,
        size_bytes=device.size,
        bus=_bus(device),
        model=_clean(device.model),
        serial=_clean(device.serial) or _sys_serial(device.path),
        wwn=_clean(device.wwn),
        rotational=device.rota,
        removable=device.rm,
        read_only=device.ro,
        content=tuple(content),
        uses=tuple(uses),
        is_boot=bool(SYSTEM_MOUNTS.intersection(mounts) or SYSTEM_PARTITIONS.intersection(labels)),
        is_seed=any(s.label == SEED_LABEL for s in signatures)
        or any(SEED_LABEL in {d.label, d.partlabel} for d in tree),
        xfs=XfsMark(xfs.uuid or "", xfs.label or "") if xfs and len(signatures) == 1 else None,
        lvm=lvm,
    )


def read_signatures(path: str) -> tuple[_Signature, ...]:
    """Every signature that libblkid knows, also overlapping ones; an empty tuple for a blank device.

    A device that can't be looked into has one of type `unreadable`, so that it never counts as blank.
    """
    done = run(["wipefs", "--no-act", "--json", path], timeout_s=60, check=False)
    if not done.ok:
        return (_Signature(type=UNREADABLE, label=done.stderr.strip().rpartition(": ")[2] or None),)
    try:
        return _Signatures.model_validate_json(done.stdout).signatures if done.stdout.strip() else ()
    except ValidationError as error:
        raise TrivetError(f"wipefs printed what this version can't read of {path}") from error


def read_xfs(path: str) -> tuple[XfsMark | None, tuple[str, ...]]:
    """The XFS of a device when it is all that is there, and the texts of everything that is there."""
    found = read_signatures(path)
    xfs = found[0] if len(found) == 1 and found[0].type == "xfs" else None
    return (XfsMark(xfs.uuid or "", xfs.label or "") if xfs else None), tuple(_signature_text(s) for s in found)


def _bus(device: BlockDevice) -> str | None:
    parts = (device.subsystems or "").split(":")
    if device.type == "loop":
        return "loop"
    if device.tran in {"sata", "ata"}:
        return "sata"
    if device.tran in {"nvme", "usb"}:
        return device.tran
    if "scsi" in parts or device.tran in {"sas", "fc", "iscsi", "spi"}:
        return "scsi"
    return "virtio" if "virtio" in parts else None


def _partition(device: BlockDevice) -> Content:
    label = f" {device.partlabel}" if device.partlabel else ""
    return Content("partition", f"partition {device.path}{label}")


def _signature_text(signature: _Signature) -> str:
    if signature.type == UNREADABLE:
        return f"unreadable: {signature.label or 'unknown error'}"
    label = f" labelled {signature.label}" if signature.label else ""
    return f"a {signature.type} signature{label}"


def _clean(text: str | None) -> str | None:
    return (text or "").strip() or None


def _sys_serial(path: str) -> str | None:
    try:
        return _clean(Path("/sys/class/block", Path(path).name, "serial").read_text())
    except OSError:
        return None


def _links(folder: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for link in sorted(folder.iterdir()) if folder.is_dir() else ():
        target = str(link.resolve())
        found[target] = (*found.get(target, ()), str(link))
    return found


def _is_claimed(path: str) -> bool:
    """Whether the kernel holds the device: O_EXCL fails for a mount in any namespace and for an array's member."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def _sample(path: str, size: int) -> Content | None:
    """Bytes in the first or last MiB: data that carries no signature (encrypted, raw) is content as well."""
    try:
        with Path(path).open("rb", buffering=0) as device:
            for offset in (0, max(0, size - SAMPLE_BYTES)):
                device.seek(offset)
                block = device.read(min(SAMPLE_BYTES, size)) or b""
                if block.count(0) != len(block):
                    return Content("data", "data without a known signature")
    except OSError as error:
        return Content(UNREADABLE, f"unreadable: {error.strerror}")
    return None
