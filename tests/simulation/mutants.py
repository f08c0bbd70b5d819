"""`python -m tests.simulation.mutants`: the simulator catches every fault that is put into a copy of the core.

A mutant is a TOML file: `why`, `file`, `old`, `new` and, for faults of several places, `also` ([file, old, new]).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "mutants"
SCHEDULES = 8000


@dataclass(frozen=True)
class Mutant:
    """Replacements of text in the production package, and what they break."""

    name: str
    why: str
    edits: tuple[tuple[str, str, str], ...]

    def apply(self, root: Path) -> None:
        """Change the copy of the package under `root`; each old text must be there exactly once."""
        for file, old, new in self.edits:
            path = root / file
            text = path.read_text()
            if text.count(old) != 1:
                raise ValueError(f"mutant {self.name}: its text is {text.count(old)} times in {file}")
            path.write_text(text.replace(old, new))


@dataclass(frozen=True)
class Catch:
    """The first seed that showed the fault; none when it was not caught."""

    mutant: Mutant
    seed: int | None
    violation: str
    duration_s: float


def mutants() -> list[Mutant]:
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        fields = tomllib.loads(path.read_text())
        edits = [(fields["file"], fields["old"], fields["new"]), *map(tuple, fields.get("also", []))]
        found.append(Mutant(path.stem, fields["why"], tuple(edits)))
    return found


def hunt(mutant: Mutant, schedules: int = SCHEDULES) -> Catch:
    """Simulate with a mutated copy until a schedule fails."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="trivet-mutant-") as name:
        folder = Path(name)
        for package in ("firstboot", "tests/simulation"):
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "tests" / "__init__.py").touch()
        mutant.apply(folder)
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--schedules", str(schedules), "--stop-at", "1", "--brief"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(f"mutant {mutant.name} does not run: {done.stderr[-2000:]}")
    report = json.loads(done.stdout.splitlines()[-1])
    seed = report["failing_seeds"][0] if report["failing_seeds"] else None
    violation = done.stdout.splitlines()[-2].partition(": ")[2] if seed is not None else ""
    if re.match(r"(Name|Attribute|Type|Import|Syntax)Error", violation):
        raise RuntimeError(f"mutant {mutant.name} is broken, not wrong: {violation}")
    return Catch(mutant, seed, violation, time.monotonic() - started)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.simulation.mutants", description=__doc__)
    parser.add_argument("--schedules", type=int, default=SCHEDULES)
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args()
    escaped = []
    for mutant in mutants():
        if chosen.names and mutant.name not in chosen.names:
            continue
        catch = hunt(mutant, chosen.schedules)
        outcome = f"seed {catch.seed}" if catch.seed is not None else "NOT CAUGHT"
        print(f"{mutant.name:<26} {outcome:<12} {catch.duration_s:5.1f} s  {catch.violation[:110]}", flush=True)
        if catch.seed is None:
            escaped.append(mutant.name)
    print(json.dumps({"mutants": len(mutants()), "escaped": escaped}), flush=True)
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
