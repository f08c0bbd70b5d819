"""The steps towards a founder, and the words of every wait; that there is at most one is tests/simulation's."""

from __future__ import annotations

from dataclasses import replace

from firstboot.cluster.events import Follow, Found, Votes, WaitFor
from firstboot.cluster.founder import Decision, Freeze, decide
from firstboot.cluster.views import View

SEED = "5" * 32
RUN, OTHER_RUN = "7" * 32, "8" * 32


def node_id(slot: int, copy: int = 0) -> str:
    return f"{slot:016x}{copy:016x}"


def names(count: int) -> dict[int, str]:
    return {slot: f"node{slot}" for slot in range(1, count + 1)}


FULL = {slot: node_id(slot) for slot in (1, 2, 3)}
OPEN, READY = Votes(FULL), Votes(FULL, ready=RUN)


def view(slot: int, votes: Votes = OPEN, *, copy: int = 0) -> View:
    return View(
        node_id=node_id(slot, copy),
        slot=slot,
        seed_id=SEED,
        phase="admit",
        claims=dict(votes.claims),
        releases=dict(votes.releases),
        ready=votes.ready,
        founder=votes.founder,
    )


def go(own: int, votes: Votes, *others: View, count: int = 3) -> Decision:
    return decide(own, names(count), votes, {other.slot: other for other in others}, RUN)


def reason(answer: object) -> str:
    assert isinstance(answer, WaitFor)
    return answer.reason


def test_the_lowest_slot_is_ready_first_with_its_run_as_the_token() -> None:
    assert go(1, OPEN, view(2), view(3)) == Freeze(RUN)
    assert "slot 1 (node1), which is to found the cluster, is not ready" in reason(go(2, OPEN, view(1), view(3)))
    assert go(2, OPEN, view(1, Votes(FULL, ready=OTHER_RUN)), view(3)) == Freeze(OTHER_RUN)


def test_it_founds_once_all_are_ready_and_the_others_follow() -> None:
    assert "slot 3 (node3) agrees" in reason(go(1, READY, view(2, READY), view(3)))
    assert go(1, READY, view(2, READY), view(3, READY)) == Found(1)
    assert "has not decided yet" in reason(go(2, READY, view(1, READY), view(3, READY)))
    assert go(2, READY, view(1, replace(READY, founder=1))) == Follow(1)


def test_a_site_of_one_founds_alone() -> None:
    alone = {1: node_id(1)}
    assert go(1, Votes(alone), count=1) == Freeze(RUN)
    assert go(1, Votes(alone, ready=RUN), count=1) == Found(1)


def test_a_decision_sticks_whatever_the_views_say() -> None:
    assert go(2, Votes({}, founder=1)) == Follow(1)
    assert go(1, Votes({}, founder=1)) == Found(1)


def test_a_member_that_is_ready_for_another_run_of_the_founder() -> None:
    other = view(2, replace(READY, ready=OTHER_RUN))
    assert "is ready for run 888888888888 of the founder" in reason(go(1, READY, other, view(3, READY)))
    decided = view(1, replace(READY, ready=OTHER_RUN, founder=1))
    assert "for 777777777777" in reason(go(2, READY, decided, view(3, READY)))


def test_nothing_is_frozen_while_a_slot_changes_hands() -> None:
    changing = Votes(FULL, {3: node_id(3, 1)})
    assert "slot 3 (node3) goes from node" in reason(go(1, changing, view(2), view(3)))
    assert "slot 2 (node2) is about to release" in reason(go(1, OPEN, view(2, changing), view(3)))


def test_reasons_name_the_slot() -> None:
    partial = {1: FULL[1], 2: FULL[2]}
    assert reason(go(1, Votes(partial), view(2), view(3))) == "slot 3 (node3) is not claimed yet"
    assert "slot 3 (node3) has not shown its votes" in reason(go(1, OPEN, view(2)))
    assert "no claim yet from slot 3 (node3)" in reason(go(1, OPEN, view(2, Votes(partial)), view(3)))
    assert "answers for it" in reason(go(1, OPEN, view(2, copy=1), view(3)))
    torn = {**FULL, 3: node_id(3, 1)}
    assert "to hold slot 3 (node3)" in reason(go(1, OPEN, view(2, Votes(torn)), view(3)))
    assert "follows slot 2" in reason(go(1, OPEN, view(2), view(3, Votes(FULL, founder=2))))
