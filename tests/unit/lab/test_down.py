"""Taking a lab down while others still remove what is theirs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from builder.lab import down
from builder.lab.state import lab_folder


def test_what_vanishes_meanwhile_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ssh connection's socket goes with the connection, between its listing and its removal."""
    monkeypatch.setenv("TRIVET_LAB", str(tmp_path))
    folder = lab_folder("demo")
    folder.path.mkdir(parents=True)
    (folder.path / "first").write_text("")
    (folder.path / "ssh-1").write_text("")
    unlink, vanished = os.unlink, []

    def vanish(name: str, *, dir_fd: int | None = None) -> None:
        if name == "ssh-1":
            vanished.append(name)
            unlink(name, dir_fd=dir_fd)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(shutil.os, "unlink", vanish)  # type: ignore[attr-defined]
    removed = down.take_down(folder, keep_site=False)
    assert vanished == ["ssh-1"]
    assert removed == [f"folder {folder.path}"]
    assert not folder.path.exists()
