"""`python -m tests.netns.crash`: the crash matrix. Goes on where it was left off; the last line is JSON."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import multiprocessing
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from tests.netns.crash.formation import form_cleanly, run_case
from tests.netns.crash.plan import Case, Result, Results, cases, choose, summary, table
from tests.netns.namespaces import ROOT, command

FOLDER = ROOT / "build" / "crash"
BATCH = 10
"""So many cases a job are done while a lock is held: others that wait for it get their turn in between."""


def main() -> int:
    chosen = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = None if chosen.fresh else Results.load(FOLDER / "results.jsonl")
    if results is None:
        results = begin(chosen.lock)
    elif results.head["sources"] != sources():
        print("the sources are not those of the results so far: begin anew with FRESH=1", file=sys.stderr)
        return 2
    every = [Case.load(fields) for fields in results.head["cases"]]  # type: ignore[attr-defined]
    planned = choose(every, chosen.points, chosen.sample, chosen.seed)
    if chosen.list:
        print("\n".join(str(case) for case in planned))
        return 0
    run([case for case in planned if case not in results.done], results, chosen.jobs, chosen.lock)
    done = {case: results.done[case] for case in planned if case in results.done}
    (FOLDER / "table.txt").write_text("".join(f"{r.outcome:<12} {c}\n" for c, r in done.items()))
    for case, result in done.items():
        if result.outcome != "converged":
            print(f"{result.outcome}: {case}" + "".join(f"\n    {line}" for line in result.why))
    print(table(done))
    print(json.dumps(summary(planned, results)), flush=True)
    good = all(result.outcome != "failed" and not result.why for result in done.values())
    return 0 if good and len(done) == len(planned) and planned else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.netns.crash", description=__doc__)
    parser.add_argument("--points", default="", help="only cases whose text has all these words")
    parser.add_argument("--sample", type=int, default=0, help="so many of them, drawn by --seed; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="formations at the same time")
    parser.add_argument("--fresh", action="store_true", help="forget the results so far")
    parser.add_argument("--list", action="store_true", help="print the cases, and run none")
    parser.add_argument("--lock", type=Path, help="hold this file's lock while a batch runs")
    return parser.parse_args()


def begin(lock: Path | None) -> Results:
    """Find the points in a clean run."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    print("forming once undisturbed", flush=True)
    with held(lock):
        records, state = form_cleanly(FOLDER / "clean")
    findings = [finding for record in records.values() for finding in record.findings]
    if findings:
        sys.exit("not crash-safe, without any crash:\n" + "\n".join(sorted(set(findings))))
    head = {
        "commit": command(
            "git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "describe", "--always", "--dirty"
        ).stdout.strip(),
        "sources": sources(),
        "calls": {role: record.calls for role, record in records.items()},
        "points": {role: len(record.points) for role, record in records.items()},
        "cases": [case.dump() for case in cases(records)],
        "state": state,
    }
    results = Results(FOLDER / "results.jsonl", head)
    results.start()
    return results


def run(todo: Sequence[Case], results: Results, jobs: int, lock: Path | None) -> None:
    """Run what is left, so many at a time, and say how it goes."""
    context = multiprocessing.get_context("fork")
    began, size = time.monotonic(), jobs * BATCH
    for first in range(0, len(todo), size):
        with held(lock), ProcessPoolExecutor(jobs, mp_context=context) as pool:
            batch = {
                pool.submit(run_case, case, results.head["state"], FOLDER / "failed" / name(case)): case  # type: ignore[arg-type]
                for case in todo[first : first + size]
            }
            for future in as_completed(batch):
                results.add(batch[future], future.result())
                say(batch[future], future.result())
        finished = min(first + size, len(todo))
        left_s = (time.monotonic() - began) / finished * (len(todo) - finished)
        print(f"{finished} of {len(todo)}, about {left_s / 60:.0f} min left", flush=True)


def say(case: Case, result: Result) -> None:
    print(f"{result.outcome:<12} {result.took_s:5.1f} s  {case}" + (" (late)" if result.late else ""), flush=True)


def name(case: Case) -> str:
    """A folder's name."""
    return hashlib.sha256(str(case).encode()).hexdigest()[:12]


def sources() -> str:
    """What the results depend on."""
    content = hashlib.sha256()
    for path in sorted([*(ROOT / "firstboot").rglob("*.py"), *(ROOT / "tests" / "netns").rglob("*.py")]):
        content.update(path.read_bytes())
    return content.hexdigest()


@contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """Hold a file's lock, as flock(1) does."""
    if lock is None:
        yield
        return
    time.sleep(0.5)  # whoever waits for it comes first
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
