"""GRUB for BIOS on the disk: the bytes that have to change, and none besides."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from builder.image.boot import BiosLoader, menu, patched_boot, patched_core, place_bios
from builder.image.layout import MIB, SECTOR, layout
from firstboot.errors import TrivetError

DISK = layout(1024 * MIB, "0" * 64)
BOOT = bytes(range(256)) * 2
BOOT = BOOT[:0x66] + b"\xeb\x05" + BOOT[0x68:]


def test_the_boot_sector_finds_the_core() -> None:
    code = patched_boot(BOOT, DISK.bios)
    assert len(code) == 440
    assert struct.unpack_from("<Q", code, 0x5C) == (2048,)
    assert code[0x66:0x68] == b"\x90\x90"
    changed = {index for index in range(440) if code[index] != BOOT[index]}
    assert changed <= {*range(0x5C, 0x64), 0x66, 0x67}


def test_a_boot_sector_of_another_shape_is_refused() -> None:
    with pytest.raises(TrivetError, match="another shape"):
        patched_boot(BOOT[:0x66] + b"\x00\x00" + BOOT[0x68:], DISK.bios)
    with pytest.raises(TrivetError, match="511 bytes"):
        patched_boot(BOOT[:511], DISK.bios)


@pytest.mark.parametrize(("size", "sectors"), [(1024, 2), (1025, 3), (200_000, 391)])
def test_the_core_finds_its_rest(size: int, sectors: int) -> None:
    core = patched_core(b"\x01" * size, DISK.bios)
    assert len(core) == sectors * SECTOR
    assert struct.unpack_from("<QHH", core, 0x1F4) == (2049, sectors - 1, 0x820)
    assert core[:0x1F4] == b"\x01" * 0x1F4


@pytest.mark.parametrize("size", [512, MIB + 1])
def test_a_core_that_does_not_fit(size: int) -> None:
    with pytest.raises(TrivetError, match="core has"):
        patched_core(b"\0" * size, DISK.bios)


def test_the_partition_table_stays(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(b"\xaa" * (3 * MIB))
    place_bios(image, BiosLoader(BOOT, b"\x01" * 2048), DISK.bios)
    after = image.read_bytes()
    assert after[440:MIB] == b"\xaa" * (MIB - 440)
    assert after[MIB + 2048 :] == b"\xaa" * (2 * MIB - 2048)
    assert len(after) == 3 * MIB


def test_the_menu_names_the_root_by_its_identifier() -> None:
    text = menu(DISK, "9.9")
    assert text.count(f"root=PARTUUID={DISK.root.uuid} ro ") == 2
    assert 'menuentry "Trivet 9.9" --id trivet' in text
    assert "systemd.unit=rescue.target" in text
    assert "{{" not in text
