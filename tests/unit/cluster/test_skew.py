"""Which time is the common one, whose clock is off, and who corrects itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster.skew import (
    FAR_S,
    MAX_SKEW_S,
    STILL,
    Clock,
    Source,
    correction,
    deviation,
    over,
    reference,
    sentence,
    span,
)

NAMES = {1: "node1", 2: "node2", 3: "node3"}
DAY_S = 86_400.0
OWN, MEMBERS, SERVER = Source.OWN, Source.MEMBERS, Source.SERVER


def clocks(*ahead_s: float, source: Source = OWN) -> list[Clock]:
    """One clock a slot, from slot 1."""
    return [Clock(slot, source, each) for slot, each in enumerate(ahead_s, 1)]


def common_s(known: list[Clock], slots: int) -> float | None:
    found = reference(known, slots)
    return found.ahead_s if found is not None else None


@pytest.mark.parametrize(
    ("known", "slots", "common"),
    [
        (clocks(0.0), 1, 0.0),
        (clocks(0.0, DAY_S, 1.0), 3, 1.0),
        (clocks(0.0, -DAY_S, -DAY_S), 3, -DAY_S),
        (clocks(0.0, DAY_S), 2, DAY_S),
        (clocks(0.0, DAY_S, 3 * DAY_S, 9 * DAY_S), 4, 3 * DAY_S),
        (clocks(0.0, DAY_S), 3, None),
        (clocks(0.0, 1.0), 3, 1.0),
        (clocks(0.0), 3, None),
        (clocks(0.0, 1.0), 4, None),
        ([], 3, None),
    ],
)
def test_the_common_time(known: list[Clock], slots: int, common: float | None) -> None:
    assert common_s(known, slots) == common


def test_one_that_follows_a_server_outweighs_all_others_and_needs_no_majority() -> None:
    known = [*clocks(0.0, 0.0, 0.0, 0.0), Clock(5, SERVER, DAY_S)]
    assert common_s(known, 9) == DAY_S


def test_who_agreed_before_outweighs_who_has_just_started() -> None:
    known = [Clock(1, OWN, 0.0), Clock(2, OWN, 0.0), Clock(3, MEMBERS, -DAY_S)]
    assert common_s(known, 5) == -DAY_S


def test_the_error_of_the_measurement_is_nobodys_fault() -> None:
    common = Clock(1, OWN, 0.0, error_s=0.5)
    assert deviation(Clock(2, OWN, 2.0, error_s=1.5), common) == 0.0
    assert deviation(Clock(2, OWN, 8.0, error_s=1.5), common) == 6.0
    assert deviation(Clock(2, OWN, -8.0, error_s=1.5), common) == -6.0
    assert deviation(common, common) == 0.0


@pytest.mark.parametrize(
    ("source", "common", "by_s"),
    [
        (OWN, Clock(2, OWN, DAY_S), DAY_S),
        (OWN, Clock(2, OWN, -DAY_S), -DAY_S),
        (OWN, Clock(2, OWN, MAX_SKEW_S), None),
        (OWN, Clock(2, OWN, MAX_SKEW_S + 1.0, error_s=2.0), None),
        (OWN, Clock(2, SERVER, DAY_S), DAY_S),
        (MEMBERS, Clock(2, SERVER, DAY_S), DAY_S),
        (MEMBERS, Clock(2, MEMBERS, DAY_S), None),
        (SERVER, Clock(2, SERVER, DAY_S), None),
    ],
)
def test_who_corrects_itself(source: Source, common: Clock, by_s: float | None) -> None:
    assert correction(Clock(1, source, 0.0), common) == by_s


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Source)), st.floats(-2e9, 2e9), st.floats(0.0, 2.0)), min_size=1, max_size=7
    )
)
def test_all_who_may_come_to_one_time_and_then_stay(drawn: list[tuple[Source, float, float]]) -> None:
    times = {slot: shown_s for slot, (_, shown_s, _) in enumerate(drawn, 1)}
    best = min((source for source, _, _ in drawn), key=list(Source).index)
    for _ in range(2):
        moved = {}
        for own in times:
            known = [
                Clock(slot, source, times[slot] - times[own], error_s if slot != own else 0.0)
                for slot, (source, _, error_s) in enumerate(drawn, 1)
            ]
            common = reference(known, len(drawn))
            assert common is not None, "every clock is known"
            by_s = correction(known[own - 1], common)
            assert by_s is None or drawn[own - 1][0] is not SERVER
            assert by_s is None or drawn[own - 1][0] is OWN or best is not drawn[own - 1][0]
            moved[own] = times[own] + (by_s or 0.0)
        before, times = times, moved
    assert times == pytest.approx(before), "nobody is moved twice"
    if best is OWN:
        assert max(times.values()) - min(times.values()) <= 2 * (MAX_SKEW_S + 4.0)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=4), st.floats(0.0, MAX_SKEW_S / 2))
def test_a_majority_that_agrees_is_never_moved(odd: list[float], apart_s: float) -> None:
    agreeing = [0.0, apart_s] * len(odd)
    known = clocks(*agreeing, *odd)
    common = reference(known, len(known))
    assert common is not None
    assert abs(common.ahead_s) <= apart_s
    assert all(correction(replace(own, error_s=0.0), common) is None for own in known[: len(agreeing)])


def test_a_clock_on_the_edge_does_not_come_and_go() -> None:
    common = Clock(1, OWN, 0.0)
    edge = [common, Clock(2, OWN, FAR_S * 0.9)]
    assert over(FAR_S, edge, common, frozenset()) == frozenset()
    assert over(FAR_S, edge, common, frozenset({2})) == frozenset({2})
    better = [common, Clock(2, OWN, FAR_S * STILL)]
    assert over(FAR_S, better, common, frozenset({2})) == frozenset()


def test_sentences_say_whose_clock_and_by_how_much() -> None:
    off = Clock(2, OWN, DAY_S + 120.0)
    assert sentence("node2", off, Clock(1, OWN, 0.0), NAMES) == "the clock of node2 is 1 d 2 min ahead of the others'"
    assert (
        sentence("node2", off, Clock(1, SERVER, 2 * DAY_S), NAMES)
        == "the clock of node2 is 23 h 58 min behind that of node1, which follows a time server"
    )
    two = {1: "node1", 2: "node2"}
    assert sentence("node2", off, Clock(1, OWN, 0.0), two).endswith("1 d 2 min ahead of that of node1")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (61.0, "1 min 1 s"), (-7200.0, "2 h"), (56 * 31_557_600.0 + 86_400.0, "56 y 1 d")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
