"""Totals of many schedules: counted by range of seeds, added up, kept in a file that a later run goes on with."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import Pool
from pathlib import Path

from firstboot.files import write_atomic
from tests.simulation.schedule import Result, simulate

ROOT = Path(__file__).parents[2]
CHUNK = 1000

FAULTS = (
    "partitioned",
    "halved",
    "crashes",
    "crash_after_vote",
    "amnesia",
    "clones",
    "copies",
    "surplus",
    "absent",
    "clock_steps",
    "lossy",
    "liars",
    "competed",
    "destroyed",
    "later_amnesia",
)
"""What happened to a site; `combined` counts the schedules with three kinds or more."""

OUTCOMES = (
    "duplicates",
    "failed_writes",
    "releases",
    "without",
    "unfrozen",
    "rescued",
    "late",
    "lived_on",
    "released",
    "removed",
    "rotated",
    "added",
    "no_majority",
    "epochs",
)
"""What came of it, or came with it: docs/formation.md says what each is."""

KINDS = (*FAULTS, *OUTCOMES)


@dataclass
class Tally:
    """Of some schedules, how many showed each kind at least once. Tallies of several ranges can be added."""

    schedules: int = 0
    formed: int = 0
    events: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    violations: int = 0
    failing_seeds: list[int] = field(default_factory=list)
    cpu_s: float = 0.0

    def count(self, result: Result) -> None:
        self.schedules += 1
        self.formed += result.formed
        self.events += result.events
        self.kinds.update(kind for kind in KINDS if result.kinds[kind])
        self.kinds["combined"] += sum(1 for kind in FAULTS if result.kinds[kind]) >= 3
        if result.violation:
            self.violations += 1
            self.failing_seeds.append(result.seed)

    def add(self, other: Tally) -> None:
        self.schedules += other.schedules
        self.formed += other.formed
        self.events += other.events
        self.kinds.update(other.kinds)
        self.violations += other.violations
        self.failing_seeds = [*self.failing_seeds, *other.failing_seeds][:20]
        self.cpu_s = round(self.cpu_s + other.cpu_s, 1)

    def report(self) -> dict[str, object]:
        """The counts, and what part of all schedules each is."""
        counts: dict[str, int] = {"formed": self.formed}
        counts |= {kind: self.kinds[kind] for kind in (*KINDS, "combined")}
        fractions = {kind: round(number / max(self.schedules, 1), 4) for kind, number in counts.items()}
        return {
            "schedules": self.schedules,
            "events": self.events,
            **counts,
            "violations": self.violations,
            "failing_seeds": self.failing_seeds,
            "cpu_s": round(self.cpu_s, 1),
            "fractions": fractions,
        }


def run(first: int, schedules: int, *, stop_at: int = 0) -> tuple[Tally, list[Result]]:
    """Run a range of seeds in this process; `stop_at` ends it after so many violations."""
    tally, failures, began = Tally(), [], time.process_time()
    for seed in range(first, first + schedules):
        result = simulate(seed)
        tally.count(result)
        if result.violation:
            failures.append(result)
            if stop_at and len(failures) >= stop_at:
                break
    tally.cpu_s = time.process_time() - began
    return tally, failures


def sources() -> str:
    """A hash over every file of the core and the simulator that is loaded: totals are of one and the same code."""
    rooms = (ROOT / "firstboot" / "cluster", ROOT / "tests" / "simulation")
    files = {Path(str(module.__file__)) for module in sys.modules.values() if getattr(module, "__file__", None)}
    digest = hashlib.sha256()
    for path in sorted(path for path in files if any(path.is_relative_to(room) for room in rooms)):
        if path.name not in ("__main__.py", "tally.py"):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def commit() -> str:
    """The commit that is checked out, for people; empty where there is none."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


class Totals:
    """The file: totals of the seeds that were run with these sources. Totals of other sources are begun anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.tally = Tally()
        self.done: set[int] = set()
        """The first seed of each chunk that was run."""
        self._sources = sources()
        if path.is_file():
            kept = json.loads(path.read_text())
            if kept["sources"] == self._sources and kept["chunk"] == CHUNK:
                fields = kept["tally"]
                self.tally = Tally(**{**fields, "kinds": Counter(fields["kinds"])})
                self.done = set(kept["done"])

    def add(self, first: int, tally: Tally) -> None:
        """Take a chunk in, durably."""
        self.tally.add(tally)
        self.done.add(first)
        document = {
            "format": "trivet-simulation",
            "sources": self._sources,
            "commit": commit(),
            "chunk": CHUNK,
            "done": sorted(self.done),
            "tally": {**vars(self.tally), "kinds": dict(self.tally.kinds)},
            "report": self.tally.report(),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path, json.dumps(document) + "\n")

    def report(self) -> dict[str, object]:
        return {"sources": self._sources, "commit": commit(), "ranges": _ranges(self.done), **self.tally.report()}


def run_many(totals: Totals, first: int, schedules: int, jobs: int) -> Iterator[int]:
    """Run what the totals lack of a range, in `jobs` processes; yields after each chunk how many are done."""
    missing = [at for at in range(first, first + schedules, CHUNK) if at not in totals.done]
    with Pool(jobs) as pool:
        for at, tally in pool.imap_unordered(_chunk, missing):
            totals.add(at, tally)
            yield totals.tally.schedules


def _chunk(first: int) -> tuple[int, Tally]:
    return first, run(first, CHUNK)[0]


def _ranges(done: set[int]) -> list[list[int]]:
    """First and last seed of each unbroken range."""
    found: list[list[int]] = []
    for first in sorted(done):
        if found and found[-1][1] + 1 == first:
            found[-1][1] = first + CHUNK - 1
        else:
            found.append([first, first + CHUNK - 1])
    return found
