"""A guest of one sector that says one agent's line on its serial console and halts: the lab without the wait."""

from __future__ import annotations

from pathlib import Path

from builder.lab.image import SECTOR
from firstboot.run import run

# As builder.lab.probe's boot sector, but it halts where that one ends QEMU.
_CODE = bytes.fromhex("31c08ed8be267cac84c0741288c3bafd03eca82074fbbaf80388d8eeebe990909090faf4ebfd")


def write_image(folder: Path, name: str, line: str) -> Path:
    """An image that the lab takes for a node's: boot sector, the look of a partition table, qcow2."""
    folder.mkdir(parents=True, exist_ok=True)
    sector = (_CODE + line.encode() + b"\r\n\0").ljust(510, b"\0") + b"\x55\xaa"
    assert len(sector) == SECTOR, "the line does not fit"
    raw = folder / "tiny.raw"
    raw.write_bytes((sector + b"EFI PART").ljust(1024 * 1024, b"\0"))
    image = folder / f"trivet-{name}.qcow2"
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], timeout_s=60)
    return image
