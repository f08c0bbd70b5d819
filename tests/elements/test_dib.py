"""Builds that fail or are killed: what is said, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder.image.dib import Element, TreeOrder, find_element, make_tree
from firstboot.errors import TrivetError

LIMIT_S = 300

PROGRAM = """\
import sys
from pathlib import Path
from builder.image.dib import Element, TreeOrder, find_element, make_tree

element, work = Path(sys.argv[1]), Path(sys.argv[2])
make_tree(
    TreeOrder((Element(element.name, element), find_element("trivet-tree")), "trixie"),
    work / "tree.tar", work=work, cache=work / "cache", log_file=work / "log", on_step=print,
)
"""


def element(folder: Path, hook: str) -> Element:
    """An operating system of empty folders, whose root hook ends with `hook`."""
    made = folder / "test-system"
    (made / "root.d").mkdir(parents=True)
    (made / "element-provides").write_text("operating-system\n")
    script = made / "root.d" / "10-test-system"
    script.write_text(f'#!/bin/bash\nset -eu\nmkdir -p "$TARGET_ROOT"/{{proc,sys,dev,tmp,etc}}\n{hook}\n')
    script.chmod(0o755)
    return Element(made.name, made)


def processes_of(folder: Path) -> list[str]:
    """Command lines of running processes that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in text:
            found.append(text)
    return found


def mounts_of(folder: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]


@pytest.fixture(autouse=True)
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.fail("diskimage-builder needs root: sudo make test-elements")


def test_a_failed_hook_is_shown_with_its_last_words(tmp_path: Path) -> None:
    broken = element(tmp_path, "echo the mirror is on fire >&2; exit 7")
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(TrivetError) as caught:
        make_tree(
            TreeOrder((broken, find_element("trivet-tree")), "trixie"),
            work / "tree.tar",
            work=work,
            cache=work / "cache",
            log_file=work / "log",
            on_step=lambda step: None,
        )
    assert "root.d/10-test-system" in caught.value.message
    assert "the mirror is on fire" in caught.value.message
    assert str(work / "log") in caught.value.hint
    assert "the mirror is on fire" in (work / "log").read_text()
    assert mounts_of(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_build_leaves_no_mount_and_no_process(tmp_path: Path, number: signal.Signals) -> None:
    sleeper = element(tmp_path, 'mount -t tmpfs none "$TARGET_ROOT/etc"; exec sleep 100000')
    work = tmp_path / "work"
    work.mkdir()
    build = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(sleeper.folder), str(work)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(work)},
    )
    try:
        wait_until(lambda: "10-test-system" in (work / "log").read_text() if (work / "log").exists() else False)
        build.send_signal(number)
        build.wait(timeout=LIMIT_S)
        assert build.returncode != 0
        wait_until(lambda: processes_of(tmp_path) == [])
        assert mounts_of(tmp_path) == []
    finally:
        build.kill()
        build.wait()


def wait_until(fact: object) -> None:
    """Wait for a fact within the limit."""
    assert callable(fact)
    end = time.monotonic() + LIMIT_S
    while not fact():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)
