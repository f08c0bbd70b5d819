"""Images that must not be booted, and disks that the lab can make."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.lab import resources
from builder.lab.disks import plan_disks
from builder.lab.image import check_image, find_image, judge_table, parse_dump
from firstboot.errors import BadInputError, RefusedError
from firstboot.plan import GIB, BrickClass, DiskRule
from tests.unit.lab.labs import plan

GOOD = bytes(510) + b"\x55\xaa" + b"EFI PART" + bytes(504)


def test_a_partition_table_is_needed() -> None:
    assert judge_table(GOOD) == ""
    assert "ends before" in judge_table(GOOD[:700])
    assert "no boot signature" in judge_table(bytes(1024))
    assert "no GPT" in judge_table(GOOD[:512] + bytes(512))


def test_qemu_ios_dump_is_read() -> None:
    text = (
        "00000000:  31 c0 8e d8 be 26 7c ac 84 c0 74 12 88 c3 ba fd  1.........t.....\n"
        "00000010:  03 ec a8 20 74 fb ba f8 03 88 d8 ee eb e9 b0 10  ....t...........\n"
        "read 1024/1024 bytes at offset 0\n1 KiB, 1 ops; 00.00 sec\n"
    )
    data = parse_dump(text)
    assert data[:4] == b"\x31\xc0\x8e\xd8"
    assert len(data) == 32


def test_qcow2_comes_before_raw(tmp_path: Path) -> None:
    assert find_image(tmp_path, "lab") is None
    (tmp_path / "trivet-lab.raw").touch()
    assert find_image(tmp_path, "lab") == tmp_path / "trivet-lab.raw"
    (tmp_path / "trivet-lab.qcow2").touch()
    assert find_image(tmp_path, "lab") == tmp_path / "trivet-lab.qcow2"


@pytest.mark.parametrize(
    ("name", "content"), [("x.qcow2", b""), ("x.qcow2", b"\0" * 4096), ("x.raw", b"QFI\xfb rest")]
)
def test_a_file_of_another_kind_is_corrupt(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match="is corrupt") as raised:
        check_image(tmp_path / name)
    assert "trivet build" in raised.value.hint


def disks(rule: DiskRule, count: int = 1) -> list[tuple[str, str, int]]:
    made = plan_disks(plan(bricks=(BrickClass(name="data", rule=rule, count=count),)))
    return [(disk.serial, disk.bus, disk.size_bytes // GIB) for disk in made]


def test_a_disk_for_every_brick_disk() -> None:
    assert disks(DiskRule(), 2) == [("data-1", "virtio", 10), ("data-2", "virtio", 10)]
    assert disks(DiskRule(min_size_bytes=32 * GIB)) == [("data-1", "virtio", 32)]
    assert disks(DiskRule(max_size_bytes=9 * GIB)) == [("data-1", "virtio", 9)]
    assert disks(DiskRule(rotational=False)) == [("data-1", "scsi", 10)]
    assert disks(DiskRule(bus="sata", serial="WD-7")) == [("WD-7", "sata", 10)]
    assert disks(DiskRule(serial="WD-*"), 2) == [("WD-1", "virtio", 10), ("WD-2", "virtio", 10)]


@pytest.mark.parametrize(
    "rule", [DiskRule(bus="nvme"), DiskRule(model="Micron*"), DiskRule(wwn="0x5"), DiskRule(path="/dev/sda")]
)
def test_disks_that_the_lab_can_not_make_are_refused(rule: DiskRule) -> None:
    with pytest.raises(BadInputError, match="bricks data: the lab"):
        disks(rule)


def test_too_little_memory_or_disk_is_said_in_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert resources.available_memory_mib("MemTotal: 5 kB\nMemAvailable:    8388608 kB\n") == 8192
    assert resources.judge_memory(3, 2048, 8192) == ""
    assert "3 nodes of 4096 MiB need 13440 MiB" in resources.judge_memory(3, 4096, 8192)
    assert resources.judge_disk(3, 0, 5 * GIB, tmp_path) == ""
    assert "1024 MiB are free" in resources.judge_disk(3, 0, GIB, tmp_path)
    monkeypatch.setattr(resources, "available_memory_mib", lambda _: 100)
    (tmp_path / "image").touch()
    with pytest.raises(RefusedError, match="not enough memory"):
        resources.check(1, 2048, tmp_path / "image", tmp_path)
