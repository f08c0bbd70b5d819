"""Runs the test levels in order, each as one pytest run, and prints a summary."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Level:
    """What one level's pytest run came to. A level that ran no test has failed."""

    name: str
    passed: int
    failed: int
    skipped: int
    duration_s: float
    exit_code: int

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and self.failed == 0 and self.passed > 0


SELECTIONS = {
    "netns": ("netns", ("-m", "not full")),
    "netns-full": ("netns", ("-m", "full")),
    "vm": ("vm", ("-m", "not full")),
    "vm-full": ("vm", ("-m", "full")),
}
"""Levels that are a part of a folder: the folder, and what chooses in it."""


def run_level(name: str) -> Level:
    """Run a level's tests and count its results from the JUnit report."""
    room, chosen = SELECTIONS.get(name, (name, ()))
    folder = ROOT / "tests" / room
    if not folder.is_dir():
        sys.exit(f"there is no test level {name}: {folder} is not there")
    report = ROOT / "build" / "test" / f"{name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    started = time.monotonic()
    argv = [sys.executable, "-m", "pytest", str(folder), f"--junitxml={report}", "--durations=5", *chosen]
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    exit_code = subprocess.run(argv, cwd=ROOT, env=environment, check=False).returncode
    duration_s = time.monotonic() - started
    total = failed = skipped = 0
    if report.is_file():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            total += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
    return Level(name, max(total - failed - skipped, 0), failed, skipped, duration_s, exit_code)


def main(names: list[str]) -> int:
    """Run the levels; the dear ones are left out once a cheaper one has failed."""
    done: list[Level] = []
    for name in names:
        print(f"\n=== level {name}", flush=True)
        done.append(run_level(name))
        if not done[-1].ok:
            break
    print(f"\n{'level':<10} {'passed':>7} {'failed':>7} {'skipped':>8} {'time':>8}")
    for level in done:
        clock = f"{int(level.duration_s // 60)}:{int(level.duration_s % 60):02d}"
        print(f"{level.name:<10} {level.passed:>7} {level.failed:>7} {level.skipped:>8} {clock:>8}")
    for name in names[len(done) :]:
        print(f"{name:<10} not run: {done[-1].name} failed")
    print(f"\n{sum(x.passed for x in done)} passed, {sum(x.failed for x in done)} failed", flush=True)
    return 0 if all(level.ok for level in done) and len(done) == len(names) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
