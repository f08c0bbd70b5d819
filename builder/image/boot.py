"""Boot loaders on the disk image: GRUB for BIOS by bytes, shim and GRUB for UEFI by files, one menu for both."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from builder.image.layout import SECTOR, Layout, Partition
from firstboot.errors import TrivetError

# Offsets in GRUB's i386-pc images: grub-core/boot/i386/pc/{boot,diskboot}.S and include/grub/i386/pc/boot.h (2.12).
BOOT_CODE_BYTES = 440
KERNEL_SECTOR_OFFSET = 0x5C
DRIVE_CHECK_OFFSET = 0x66
DRIVE_CHECK_JUMP = 0xEB
BLOCK_LIST_OFFSET = 0x1F4
SECOND_SECTOR_SEGMENT = 0x820
NOP = 0x90

KERNEL_ARGUMENTS = (
    "ro quiet console=tty1 console=ttyS0,115200 systemd.gpt_auto=0 lsm=landlock,lockdown,yama,integrity,apparmor"
)
"""Without Debian's tomoyo, which nothing here uses, and bpf, for which systemd reads the kernel's whole type
information at every boot: 23 s on an emulated machine (QEMU 7.2) that is otherwise idle."""


@dataclass(frozen=True)
class BiosLoader:
    """The two images of GRUB for BIOS: the boot sector, and the core with all its modules."""

    boot: bytes
    core: bytes


def menu(layout: Layout, version: str) -> str:
    """The one grub.cfg, for BIOS and UEFI."""
    templates = Environment(  # noqa: S701: no markup is made here
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    return templates.get_template("grub.cfg.j2").render(
        version=version,
        root_number=layout.root.number,
        root_uuid=layout.root.uuid,
        arguments=KERNEL_ARGUMENTS,
    )


def place_bios(image: Path, loader: BiosLoader, partition: Partition) -> None:
    """Write GRUB for BIOS into the image: the boot sector's code, and the core into the BIOS boot partition.

    The partition table's bytes of sector 0 (from 440) stay.
    """
    core = patched_core(loader.core, partition)
    code = patched_boot(loader.boot, partition)
    with image.open("r+b") as disk:
        disk.write(code)
        disk.seek(partition.start_bytes)
        disk.write(core)


def patched_boot(boot: bytes, partition: Partition) -> bytes:
    """The boot sector's code, told where the core begins, and to trust the drive number that the firmware gives."""
    if len(boot) != SECTOR:
        raise TrivetError(f"GRUB's boot.img has {len(boot)} bytes, not {SECTOR}")
    code = bytearray(boot[:BOOT_CODE_BYTES])
    struct.pack_into("<Q", code, KERNEL_SECTOR_OFFSET, partition.start_sector)
    if code[DRIVE_CHECK_OFFSET] not in (DRIVE_CHECK_JUMP, NOP):
        raise TrivetError("GRUB's boot.img has another shape than that of version 2.12")
    code[DRIVE_CHECK_OFFSET : DRIVE_CHECK_OFFSET + 2] = bytes((NOP, NOP))
    return bytes(code)


def patched_core(core: bytes, partition: Partition) -> bytes:
    """The core, whose first sector is told where the rest of it lies."""
    if len(core) > partition.size_bytes:
        raise TrivetError(f"GRUB's core has {len(core)} bytes, more than partition {partition.name}")
    sectors = -(-len(core) // SECTOR)
    if sectors < 2:
        raise TrivetError(f"GRUB's core has {len(core)} bytes: too few")
    padded = bytearray(core.ljust(sectors * SECTOR, b"\0"))
    struct.pack_into(
        "<QHH", padded, BLOCK_LIST_OFFSET, partition.start_sector + 1, sectors - 1, SECOND_SECTOR_SEGMENT
    )
    return bytes(padded)
