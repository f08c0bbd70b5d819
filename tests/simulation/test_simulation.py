"""Formation under faults: no violation in a range of seeds, the same run for the same seed, every mutant caught."""

from __future__ import annotations

import pytest

from tests.simulation.__main__ import KINDS, totals
from tests.simulation.mutants import Mutant, hunt, mutants
from tests.simulation.schedule import simulate

SCHEDULES = 2000


def test_no_schedule_violates_an_invariant() -> None:
    report, failures = totals(1, SCHEDULES, stop_at=3)
    assert not failures, f"replay: make simulate SCHEDULES=1 SEED={failures[0].seed}: {failures[0].violation}"
    assert report["schedules"] == SCHEDULES
    assert all(report[kind] for kind in (*KINDS, "combined")), report


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
