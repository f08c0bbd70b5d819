"""What a build asks of the host before it begins."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from builder.image.host import MIB, PROGRAMS, Need, check_host, check_space
from firstboot.errors import MissingError, RefusedError


def test_missing_programs_are_named_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for program in set(PROGRAMS) - {"mcopy", "qemu-img"}:
        (tmp_path / program).write_text("")
        (tmp_path / program).chmod(0o755)
    with pytest.raises(MissingError) as caught:
        check_host(path=str(tmp_path))
    assert "mtools" in caught.value.message
    assert "qemu-utils" in caught.value.message
    assert "sudo" not in caught.value.message
    assert caught.value.hint.startswith("apt-get install ")


def test_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingError, match="needs root"):
        check_host()


def test_too_little_space(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(RefusedError, match=r"too little space for a build: .* MiB free, the build needs"):
        check_space([Need(tmp_path, free + 100 * MIB)])
    check_space([Need(tmp_path, 1)])


def test_needs_in_one_file_system_add_up(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(RefusedError):
        check_space([Need(tmp_path, free * 2 // 3), Need(tmp_path, free * 2 // 3)])
