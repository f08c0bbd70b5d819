"""Formation under faults: no violation in a range of seeds, the same run for the same seed, every mutant caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation import tally as tallies
from tests.simulation.mutants import Mutant, hunt, mutants
from tests.simulation.schedule import simulate
from tests.simulation.tally import KINDS, Totals, run, run_many

SCHEDULES = 2000


def test_no_schedule_violates_an_invariant() -> None:
    tally, failures = run(1, SCHEDULES, stop_at=3)
    assert not failures, f"replay: make simulate SCHEDULES=1 SEED={failures[0].seed}: {failures[0].violation}"
    assert tally.schedules == SCHEDULES
    assert all(tally.kinds[kind] for kind in (*KINDS, "combined")), tally.report()


def test_totals_of_ranges_add_up_and_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "CHUNK", 20)
    path = tmp_path / "totals.json"
    list(run_many(Totals(path), 1, 40, 2))
    again = Totals(path)
    assert list(run_many(again, 1, 60, 1)) == [60]
    report, whole = again.report(), run(1, 60)[0].report()
    assert report["ranges"] == [[1, 60]]
    assert all(report[key] == whole[key] for key in whole if key != "cpu_s")
    monkeypatch.setattr(tallies, "sources", lambda: "others")
    assert Totals(path).done == set()


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_seed_replays_event_by_event(seed: int) -> None:
    first, second = simulate(seed, traced=True), simulate(seed, traced=True)
    assert first.trace == second.trace
    assert (first.events, first.formed, first.violation) == (second.events, second.formed, "")
    assert simulate(seed).events == first.events


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_every_mutant_is_caught(mutant: Mutant) -> None:
    catch = hunt(mutant)
    assert catch.seed is not None, f"nothing noticed that {mutant.why}"
