"""How far a node is, by its serial log."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.lab.serial import PHASES, POWER_ON, Progress, SerialLog, advance, clean

BOOT = [
    f"{POWER_ON} 2026-01-01T00:00:00+00:00",
    "\x1b[2J\x1b[01;01H\x1b[=3h\x1b[2J\x1b[01;01HGNU GRUB  version 2.12",
    "[    0.000000] Linux version 6.12.0-amd64",
    "\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mlocal-fs.target\x1b[0m",
    "[    9.1] systemd[1]: Detected virtualization qemu.",
    "trivet: node1 phase=network state=waiting no address on eth0",
    "[  OK  ] Started later.service",
    "trivet: node1 phase=formed state=done",
]


def stages(lines: list[str]) -> list[str]:
    progress, seen = Progress(), []
    for line in lines:
        after = advance(progress, line)
        if after.stage != progress.stage:
            seen.append(after.stage)
        progress = after
    return seen


def test_a_boot_goes_through_its_stages() -> None:
    assert stages(BOOT) == ["firmware", "boot menu", "kernel", "services", "network", "formed"]


def test_the_agents_line_gives_state_and_reason() -> None:
    progress = advance(Progress("kernel"), "[   66.1] trivet-node[411]: " + BOOT[5])
    assert (progress.stage, progress.state, progress.reason) == ("network", "waiting", "no address on eth0")
    assert progress.text == "waiting: no address on eth0"


def test_an_unclaimed_node_is_known() -> None:
    progress = advance(Progress(), "trivet: unclaimed phase=unclaimed state=waiting for a seed")
    assert (progress.stage, progress.reason) == ("unclaimed", "for a seed")


def test_a_restart_begins_anew() -> None:
    formed = Progress("formed", "done", boots=1)
    assert advance(formed, "GNU GRUB  version 2.12") == Progress("boot menu", boots=2)
    assert advance(formed, f"{POWER_ON} now").stage == "firmware"


def test_boot_messages_do_not_hide_the_agent() -> None:
    progress = Progress("disks", "running", "x")
    assert advance(progress, "[  120.1] device vnet0 entered promiscuous mode") == progress


@pytest.mark.parametrize(
    "line",
    [
        "Kernel panic - not syncing: VFS: Unable to mount root fs",
        "No bootable device.",
        "grub rescue> ",
        "You are in emergency mode. After logging in",
        "(initramfs) ",
    ],
)
def test_trouble_is_named(line: str) -> None:
    progress = advance(Progress("kernel"), line)
    assert progress.trouble
    assert progress.text == progress.trouble


def test_the_ram_disks_last_words_are_told() -> None:
    progress = Progress("boot menu")
    for line in ("trivet: disk vda is too small", "trivet: this machine does not go on; reboot", "(initramfs) "):
        progress = advance(progress, line)
    assert progress.text == "disk vda is too small; trivet: this machine does not go on; reboot"


def test_a_prompt_needs_no_end_of_line(tmp_path: Path) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(b"Booting `Trivet'\r\n\r\n(initramfs) ")
    log = SerialLog(path)
    log.read()
    assert "(initramfs)" in log.progress.trouble


def test_ranks_follow_the_phases() -> None:
    ranks = [Progress(name, "running").rank for name in PHASES]
    assert ranks == sorted(ranks)
    assert Progress("services").rank < ranks[0]


@given(st.text())
def test_no_line_breaks_it(line: str) -> None:
    assert advance(Progress("kernel"), line).boots >= 0
    assert "\x1b" not in clean(line)


@given(st.lists(st.integers(1, 400), max_size=12))
def test_pieces_of_a_growing_log_make_the_same_progress(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    data = ("\r\n".join(BOOT) + "\r\n").encode()
    path = tmp_path_factory.mktemp("serial") / "serial.log"
    log, seen = SerialLog(path), 0
    assert log.read() == []
    stages_seen = []
    for size in [*cuts, len(data)]:
        piece = data[seen : seen + size]
        with path.open("ab") as file:
            file.write(piece)
        seen += len(piece)
        stages_seen += [progress.stage for progress in log.read()]
    assert stages_seen == ["firmware", "boot menu", "kernel", "services", "network", "formed"]
