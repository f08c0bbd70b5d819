"""Disks of lab machines: which ones the plan's brick classes need, and the files behind them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from builder.lab.image import SYSTEM_DISK_BYTES, NodeImage
from builder.lab.state import DiskRecord, LabFolder, LabState
from firstboot.errors import BadInputError
from firstboot.plan import GIB, DiskRule, Plan
from firstboot.run import run

DATA_DISK_BYTES = 10 * GIB
MAX_SERIAL = 20
"""virtio-blk: the serial has 20 bytes."""

_BUSES = {None: "virtio", "virtio": "virtio", "sata": "sata", "scsi": "scsi", "usb": "usb"}


def plan_disks(plan: Plan) -> tuple[DiskRecord, ...]:
    """One disk for every brick disk of a node, of the smallest kind that its rule takes but at least 10 GiB.

    Raises BadInputError for a rule that no virtual disk of the lab can meet.
    """
    disks: list[DiskRecord] = []
    for brick_class in plan.bricks:
        for index in range(brick_class.count):
            disks.append(_disk(brick_class.name, brick_class.rule, index))
    return tuple(disks)


def _disk(name: str, rule: DiskRule, index: int) -> DiskRecord:
    where = f"bricks {name}"
    if rule.bus not in _BUSES:
        raise BadInputError(
            f"{where}: the lab has no disks on bus {rule.bus}", hint="use a profile like profiles/lab.yaml"
        )
    fixed = {"model": rule.model, "wwn": rule.wwn, "path": rule.path}
    for key, value in fixed.items():
        if value is not None:
            raise BadInputError(
                f"{where}: the lab can't make a disk with {key} {value}", hint="use a profile like profiles/lab.yaml"
            )
    size = max(rule.min_size_bytes, DATA_DISK_BYTES)
    if rule.max_size_bytes is not None:
        size = min(size, rule.max_size_bytes)
    size -= size % (1024 * 1024)
    serial = rule.serial if rule.serial and not set(rule.serial) & set("*?[") else ""
    if not serial:
        stem = (rule.serial or f"{name}-").split("*")[0].translate({ord(c): None for c in "?[]"})
        serial = f"{stem[: MAX_SERIAL - 3]}{index + 1}"
    bus = _BUSES[rule.bus]
    if rule.rotational is False and bus == "virtio":
        bus = "scsi"  # virtio-blk always calls itself rotational
    return DiskRecord.model_validate(
        {"serial": serial, "bus": bus, "size_bytes": size, "solid_state": rule.rotational is False}
    )


def keep_base(folder: LabFolder, image: NodeImage) -> None:
    """Copy the image into the lab: its overlays must not change when the image is built again."""
    temporary = folder.path / ".base.img.part"
    run(["cp", "--reflink=auto", "--sparse=always", image.path, temporary], timeout_s=900)
    temporary.replace(folder.base_image)


def make_disks(folder: LabFolder, state: LabState, number: int, image_format: str) -> None:
    """The system overlay and the data disks of one node; those that are there are kept."""
    node = folder.node(number)
    node.path.mkdir(exist_ok=True, mode=0o711)
    if not node.system_disk.exists():
        backing: list[str | Path] = ["-b", folder.base_image, "-F", image_format]
        _create(node.system_disk, SYSTEM_DISK_BYTES, backing)
    for index, disk in enumerate(state.node(number).disks):
        if not node.data_disk(index).exists():
            _create(node.data_disk(index), disk.size_bytes, [])


def _create(path: Path, size_bytes: int, backing: list[str | Path]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, temporary, str(size_bytes)], timeout_s=60)
    temporary.chmod(0o600)
    temporary.replace(path)


def copy_uefi_vars(template: Path, target: Path) -> None:
    """Each machine's own UEFI variables; those that are there are kept."""
    if not target.exists():
        temporary = target.with_name(f".{target.name}.part")
        shutil.copyfile(template, temporary)
        os.chmod(temporary, 0o600)  # noqa: PTH101
        temporary.replace(target)
