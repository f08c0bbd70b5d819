"""Whether KVM counts as usable."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.lab import probe
from builder.lab.probe import EXIT_CODE, MARKER, ProbeRun, Verdict, judge
from firstboot.errors import RefusedError


def test_the_marker_and_the_exit_prove_it() -> None:
    usable, reason = judge(ProbeRun(f"{MARKER}\n", "", EXIT_CODE, expired=False))
    assert usable
    assert "reached its marker" in reason


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (ProbeRun("", "", -9, expired=True), "hung in its firmware"),
        (ProbeRun(MARKER, "", -9, expired=True), "hung in its firmware"),
        (
            ProbeRun("", "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\nqemu: Assertion\n", -6, False),
            "died: error: failed to set MSR 0x10a to 0x69",
        ),
        (ProbeRun("", "Could not access KVM kernel module: Permission denied\n", 1, False), "Permission denied"),
        (ProbeRun("", "", EXIT_CODE, False), "without its marker"),
        (ProbeRun("", "", 0, False), "exit code 0"),
    ],
)
def test_anything_else_disproves_it(run: ProbeRun, reason: str) -> None:
    usable, why = judge(run)
    assert not usable
    assert reason in why


def test_the_boot_sector_boots() -> None:
    disk = probe.boot_sector()
    assert len(disk) == 1024 * 1024
    assert disk[510:512] == b"\x55\xaa"
    assert disk[38:].startswith(MARKER.encode() + b"\n\0"), "the code's text address is 0x7c26"


def test_a_missing_device_needs_no_probe(tmp_path: Path) -> None:
    verdict = probe.probe(device=tmp_path / "kvm")
    assert not verdict.usable
    assert "is not there" in verdict.reason


def verdict(monkeypatch: pytest.MonkeyPatch, *, usable: bool) -> None:
    monkeypatch.setattr(probe, "probe", lambda: Verdict(boot_id="b", usable=usable, reason="because"))


def test_demanded_kvm_that_was_disproved_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict(monkeypatch, usable=False)
    with pytest.raises(RefusedError, match="KVM does not work here: because"):
        probe.choose("kvm")
    assert probe.choose("auto").kind == "tcg"
    assert "because" in probe.choose("auto").reason


def test_proven_kvm_is_used_unless_emulation_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict(monkeypatch, usable=True)
    assert probe.choose("auto").kind == "kvm"
    assert probe.choose("tcg").kind == "tcg"


def test_the_verdict_is_kept_for_one_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIVET_LAB", str(tmp_path))
    monkeypatch.setattr(probe.os, "access", lambda *_: True)
    runs = []

    def run_probe(*_: str) -> ProbeRun:
        runs.append(1)
        return ProbeRun(MARKER, "", EXIT_CODE, expired=False)

    monkeypatch.setattr(probe, "run_probe", run_probe)
    (tmp_path / "kvm").touch()
    assert probe.probe(device=tmp_path / "kvm").usable
    assert probe.probe(device=tmp_path / "kvm").usable
    assert len(runs) == 1
    old = Verdict(boot_id="another boot", usable=False, reason="old")
    (tmp_path / "kvm-probe.json").write_text(old.model_dump_json())
    assert probe.probe(device=tmp_path / "kvm").usable
    (tmp_path / "kvm-probe.json").write_text("damaged")
    assert probe.probe(device=tmp_path / "kvm").usable
    assert len(runs) == 3
