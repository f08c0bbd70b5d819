"""Which disks this node took as brick disks, remembered from before the first write; format trivet-disks 1."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from firstboot.document import Source, load_document
from firstboot.errors import RefusedError
from firstboot.files import write_atomic
from firstboot.model import Model
from firstboot.paths import STATE

RECORDS = STATE / "disks.json"


class DiskRecord(Model):
    """A disk that was taken; `ready` once each of its bricks has its tag file."""

    brick_class: str
    index: int
    identity: str
    size_bytes: int
    ready: bool = False


class DiskRecords(Model):
    """All of them."""

    format: Literal["trivet-disks"] = "trivet-disks"
    version: str = "1.0"
    disks: tuple[DiskRecord, ...] = ()

    def get(self, brick_class: str, index: int) -> DiskRecord | None:
        """The record of one brick disk."""
        return next((r for r in self.disks if (r.brick_class, r.index) == (brick_class, index)), None)

    def put(self, record: DiskRecord) -> DiskRecords:
        """The records with that one added or replaced."""
        others = [r for r in self.disks if (r.brick_class, r.index) != (record.brick_class, record.index)]
        disks = sorted([*others, record], key=lambda r: (r.brick_class, r.index))
        return self.model_copy(update={"disks": tuple(disks)})


def read_records(path: Path = RECORDS) -> DiskRecords:
    """The records, empty when nothing was taken yet; raises RefusedError when they can't be understood."""
    source = Source(
        f"record of disks {path}",
        hint="no disk is touched until it is understood",
        version_hint="boot the newer image that wrote it",
        error=RefusedError,
    )
    try:
        return load_document(path, DiskRecords, source)
    except FileNotFoundError:
        return DiskRecords()


def write_records(records: DiskRecords, path: Path = RECORDS) -> None:
    """Write them durably."""
    write_atomic(path, records.model_dump_json(indent=1) + "\n", mode=0o600)
