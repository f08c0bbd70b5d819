"""Atomic writes, and what is left of those that were cut off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firstboot.files import sweep, write_atomic


def cut_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write as far as a power cut lets it: nothing is renamed, nothing is cleaned up."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no power")))
        patch.setattr(Path, "unlink", lambda *_: None)
        with pytest.raises(OSError, match="no power"):
            write_atomic(path, "secret", mode=0o600)


def test_a_write_that_was_cut_off_leaves_the_old_content_and_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "seed.json"
    write_atomic(path, "old")
    cut_off(path, monkeypatch)
    assert path.read_text() == "old"
    (left,) = sweep([tmp_path])
    assert left.name.startswith(".seed.json.")
    assert [entry.name for entry in tmp_path.iterdir()] == ["seed.json"]


def test_what_a_dead_process_renamed_is_durable_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(str(Path(f"/proc/self/fd/{handle}").readlink())))
    sweep([tmp_path, tmp_path / "missing"])
    assert synced == [str(tmp_path)]


def test_what_others_keep_in_a_folder_is_not_swept(tmp_path: Path) -> None:
    for name in (".hosts.swp", "hosts", ".trivet-brick.json", "notes.trivet-new"):
        (tmp_path / name).touch()
    (tmp_path / ".git").mkdir()
    assert sweep([tmp_path, tmp_path / "missing"]) == []
    assert len(list(tmp_path.iterdir())) == 5


def test_a_folder_that_was_not_finished_is_swept_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    inside = tmp_path / "inside"
    (inside / ".seed.abc.trivet-new").mkdir(parents=True)
    (inside / ".seed.abc.trivet-new" / "seed.json").touch()
    (inside / ".link.trivet-new").symlink_to(outside)
    assert len(sweep([inside])) == 2
    assert list(inside.iterdir()) == []
    assert (outside / "kept").exists()


def test_the_folder_behind_a_link_is_swept(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / ".root.abc.trivet-new").touch()
    (tmp_path / "etc").symlink_to(tmp_path / "state")
    assert len(sweep([tmp_path / "etc"])) == 1
