"""What lsblk and its kin print becomes typed disks."""

from __future__ import annotations

from pathlib import Path

from firstboot.disks.inventory import BlockDevice, Disk, describe, parse_lsblk

SAMPLES = Path(__file__).parent / "samples"


def disk(name: str, **facts: object) -> Disk:
    """One device of the recorded machine, with nothing known beyond lsblk."""
    (device,) = [d for d in parse_lsblk((SAMPLES / "lsblk.json").read_text()) if d.path == f"/dev/{name}"]
    return of(device, **facts)


def of(device: BlockDevice, **facts: object) -> Disk:
    known: dict[str, object] = {"signatures": (), "sample": None, "exclusive": False, "links": (), "lvm": None}
    return describe(device, **{**known, **facts})  # type: ignore[arg-type]
