"""How long a wait for formation may last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.lab import patience


def test_without_progress_the_limit_ends_it() -> None:
    wait = patience.begin(100.0, 60.0, 30.0)
    assert not wait.over(159.9)
    assert wait.over(160.0)


def test_progress_pushes_the_end_on() -> None:
    wait = patience.observe(patience.begin(0.0, 60.0, 30.0), 50.0, {"node1": 3})
    assert wait.deadline_s == 80.0


def test_progress_never_brings_the_end_nearer() -> None:
    assert patience.observe(patience.begin(0.0, 60.0, 30.0), 1.0, {"node1": 3}).deadline_s == 60.0


def test_going_back_and_forth_is_no_progress() -> None:
    wait = patience.begin(0.0, 60.0, 30.0)
    for now, rank in ((40.0, 5), (50.0, 2), (60.0, 5), (65.0, 4)):
        wait = patience.observe(wait, now, {"node1": rank})
    assert wait.deadline_s == 70.0


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 15)), max_size=200))
def test_it_always_ends(ranks: list[dict[str, int]]) -> None:
    """Three nodes with sixteen ranks can gain 48 times at most."""
    wait, now = patience.begin(0.0, 60.0, 30.0), 0.0
    for observed in ranks:
        if wait.over(now):
            break
        wait = patience.observe(wait, now, observed)
        now += 10.0
    assert wait.deadline_s <= 60.0 + 48 * 30.0
