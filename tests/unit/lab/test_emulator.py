"""Which QEMU a lab takes, and how another one is laid over the machine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.lab import emulator
from builder.lab.emulator import OtherQemu, major_version
from builder.lab.template import render
from builder.lab.view import View


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright", 7),
        ("QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)", 10),
        ("something else", 0),
    ],
)
def test_the_major_version_is_read(text: str, major: int) -> None:
    assert major_version(text) == major


@pytest.mark.parametrize(("accelerator", "private"), [("kvm", True), ("tcg", False)])
def test_the_own_qemu_runs_under_kvm_and_under_the_own_daemon(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, private: bool
) -> None:
    monkeypatch.setattr(emulator, "run", lambda *_: pytest.fail("nothing needs to be asked"))
    assert emulator.choose(accelerator, private, View(())) is None


def test_every_fixed_path_is_laid_over_by_the_same_path_of_the_tree() -> None:
    overlays = OtherQemu(Path("/labs/.qemu")).overlays
    assert overlays.pop(Path("/labs/.qemu/qemu-system-x86_64")) == Path("/usr/bin/qemu-system-x86_64")
    assert overlays
    assert all(source == Path("/labs/.qemu/tree") / target.relative_to("/") for source, target in overlays.items())


def test_the_launcher_is_a_program() -> None:
    text = render("qemu.py.j2", python="/usr/bin/python3", libraries="/t/lib", qemu="/t/bin/qemu")
    assert text.startswith("#!/usr/bin/python3 -I\n")
    compile(text, "launcher", "exec")
