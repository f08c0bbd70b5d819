"""`python -m tests.simulation --schedules N --seed S`: runs seeds S to S+N-1; the last line is JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.simulation.schedule import Result, simulate
from tests.simulation.tally import CHUNK, Totals, run, run_many


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stop-at", type=int, default=5, help="end after so many violations; 0: never")
    parser.add_argument("--trace", action="store_true", help="print what happens in every schedule")
    parser.add_argument("--brief", action="store_true", help="of a failing seed print the violation only")
    parser.add_argument("--jobs", type=int, default=1, help="processes, with --totals")
    parser.add_argument(
        "--totals", type=Path, metavar="FILE", help="keep totals there and go on with them; seeds in chunks of 1000"
    )
    chosen = parser.parse_args()
    if chosen.trace:
        for seed in range(chosen.seed, chosen.seed + chosen.schedules):
            show(simulate(seed, traced=True))
        return 0
    if chosen.totals is not None:
        return add_up(chosen.totals, chosen.seed, chosen.schedules, chosen.jobs)
    tally, failures = run(chosen.seed, chosen.schedules, stop_at=chosen.stop_at)
    for failure in failures[:3]:
        show(failure if chosen.brief else simulate(failure.seed, traced=True))
    print(json.dumps({"seed": chosen.seed, **tally.report()}), flush=True)
    return 1 if failures else 0


def add_up(path: Path, first: int, schedules: int, jobs: int) -> int:
    """Run what the file lacks of the range, chunk by chunk."""
    if (first - 1) % CHUNK or schedules % CHUNK:
        sys.exit(f"totals are of whole chunks: --seed 1 + a multiple of {CHUNK}, --schedules a multiple of {CHUNK}")
    totals = Totals(path)
    print(f"{totals.tally.schedules} schedules are done already", flush=True)
    for done in run_many(totals, first, schedules, jobs):
        if done % (10 * CHUNK) == 0:
            print(f"{done} schedules, {totals.tally.violations} violations", flush=True)
    print(json.dumps(totals.report()), flush=True)
    return 1 if totals.tally.violations else 0


def show(result: Result) -> None:
    print("\n".join(result.trace))
    print(f"seed {result.seed}: {result.violation or ('formed' if result.formed else 'waits, by name')}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
