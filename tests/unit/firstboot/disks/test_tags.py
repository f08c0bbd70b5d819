"""Marks of bricks: they follow from the brick, and are understood or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from firstboot.disks.records import DiskRecord, DiskRecords, read_records, write_records
from firstboot.disks.tags import LABEL_NEW, LABEL_READY, TAG_FILE, Brick, read_tag, require_tag, write_tag
from firstboot.errors import RefusedError
from tests.unit.firstboot.disks.made import BLANK, SITE, record

BRICK = Brick(SITE, 2, "data", 0)


def test_the_tag_file(tmp_path: Path) -> None:
    assert read_tag(tmp_path) is None
    write_tag(tmp_path, BRICK)
    assert json.loads((tmp_path / TAG_FILE).read_text()) == {
        "format": "trivet-brick",
        "version": "1.0",
        "site": SITE,
        "slot": 2,
        "volume": "data",
        "index": 0,
    }
    require_tag(tmp_path, BRICK)


@pytest.mark.parametrize("other", [{"site": "7" * 32}, {"slot": 3}, {"volume": "vms"}, {"index": 1}])
def test_another_brick_is_refused(tmp_path: Path, other: dict[str, object]) -> None:
    write_tag(tmp_path, BRICK)
    with pytest.raises(RefusedError, match="is brick 0 of volume data, slot 2, site 5555"):
        require_tag(tmp_path, replace(BRICK, **other))  # type: ignore[arg-type]


def test_no_tag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="carries no tag file"):
        require_tag(tmp_path, BRICK)


@pytest.mark.parametrize("text", ["", "{}", '{"format": "other"}', '{"format": "trivet-brick", "extra": 1}'])
def test_a_damaged_tag_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / TAG_FILE).write_text(text)
    with pytest.raises(RefusedError):
        read_tag(tmp_path)


def test_a_newer_tag_is_refused_by_version(tmp_path: Path) -> None:
    document = {"format": "trivet-brick", "version": "2.0", "site": SITE, "slot": 2, "volume": "data", "index": 0}
    (tmp_path / TAG_FILE).write_text(json.dumps(document))
    with pytest.raises(RefusedError, match=r"format version 2\.0"):
        read_tag(tmp_path)


def test_every_brick_has_a_file_system_id_of_its_own() -> None:
    bricks = [Brick(site, s, v, i) for site in (SITE, "7" * 32) for s in (1, 12) for v in ("a", "b") for i in (0, 1)]
    assert len({brick.xfs_uuid for brick in bricks}) == len(bricks)
    assert BRICK.xfs_uuid == Brick(SITE, 2, "data", 0).xfs_uuid


def test_labels_fit_into_xfs() -> None:
    assert max(len(LABEL_NEW), len(LABEL_READY)) <= 12


def test_records_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "disks.json"
    assert read_records(path) == DiskRecords()
    known = record(BLANK)
    write_records(known, path)
    assert read_records(path) == known
    assert path.stat().st_mode & 0o777 == 0o600
    ready = DiskRecord(brick_class="ssd", index=0, identity=BLANK.identity, size_bytes=BLANK.size_bytes, ready=True)
    assert known.put(ready).disks == (ready,)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "trivet-disks", "version": "2.0"}'])
def test_records_that_are_not_understood_stop_everything(tmp_path: Path, text: str) -> None:
    path = tmp_path / "disks.json"
    path.write_text(text)
    with pytest.raises(RefusedError):
        read_records(path)
