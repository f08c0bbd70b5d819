"""`python -m tests.simulation --schedules N --seed S`: runs seeds S to S+N-1; the last line is JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter

from tests.simulation.schedule import Result, simulate

KINDS = (
    "partitioned",
    "crash_after_vote",
    "crashes",
    "amnesia",
    "clones",
    "copies",
    "surplus",
    "clock_steps",
    "lossy",
    "liars",
    "duplicates",
    "failed_writes",
    "releases",
    "absent",
    "without",
    "unfrozen",
    "rescued",
    "late",
    "lived_on",
    "released",
    "removed",
    "rotated",
    "added",
    "competed",
    "destroyed",
    "later_amnesia",
    "no_majority",
    "epochs",
)
"""Each counts the schedules with at least one of it; `combined` those with three or more kinds of fault."""


def totals(first: int, schedules: int, *, stop_at: int = 0) -> tuple[dict[str, object], list[Result]]:
    """Run a range of seeds; numbers of several ranges can be added. `stop_at` ends after so many violations."""
    kinds: Counter[str] = Counter()
    formed = events = done = 0
    failures: list[Result] = []
    started = time.monotonic()
    for seed in range(first, first + schedules):
        result = simulate(seed)
        done += 1
        formed += result.formed
        events += result.events
        present = [kind for kind in KINDS if result.kinds[kind]]
        kinds.update(present)
        kinds["combined"] += len(set(present) - {"releases", "duplicates", "failed_writes"}) >= 3
        if result.violation:
            failures.append(result)
            if stop_at and len(failures) >= stop_at:
                break
    report: dict[str, object] = {"seed": first, "schedules": done, "formed": formed, "events": events}
    report |= {kind: kinds[kind] for kind in (*KINDS, "combined")}
    report |= {"violations": len(failures), "failing_seeds": [result.seed for result in failures[:20]]}
    report["duration_s"] = round(time.monotonic() - started, 1)
    return report, failures


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stop-at", type=int, default=5, help="end after so many violations; 0: never")
    parser.add_argument("--trace", action="store_true", help="print what happens in every schedule")
    parser.add_argument("--brief", action="store_true", help="of a failing seed print the violation only")
    chosen = parser.parse_args()
    if chosen.trace:
        for seed in range(chosen.seed, chosen.seed + chosen.schedules):
            show(simulate(seed, traced=True))
        return 0
    report, failures = totals(chosen.seed, chosen.schedules, stop_at=chosen.stop_at)
    for failure in failures[:3]:
        show(failure if chosen.brief else simulate(failure.seed, traced=True))
    print(json.dumps(report), flush=True)
    return 1 if failures else 0


def show(result: Result) -> None:
    print("\n".join(result.trace))
    print(f"seed {result.seed}: {result.violation or ('formed' if result.formed else 'waits, by name')}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
