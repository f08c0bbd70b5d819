"""The steps towards a founder, and the words of every wait; that there is at most one is tests/simulation's."""

from __future__ import annotations

from dataclasses import replace

from firstboot.cluster.ballots import FIRST, Attempt, Proposal, Ready, Votes
from firstboot.cluster.events import Follow, Found, Identity, Outside, WaitFor
from firstboot.cluster.founder import Chosen, Decision, Freeze, decide, outcome
from firstboot.cluster.views import View

SEED = "5" * 32
RUN, OTHER_RUN = "7" * 32, "8" * 32


def node_id(slot: int, copy: int = 0) -> str:
    return f"{slot:016x}{copy:016x}"


def names(count: int) -> dict[int, str]:
    return {slot: f"node{slot}" for slot in range(1, count + 1)}


def me(slot: int, count: int = 3, *, copy: int = 0) -> Identity:
    return Identity(slot, node_id(slot, copy), SEED, names(count), RUN)


FULL = {slot: node_id(slot) for slot in (1, 2, 3)}


def ready(*slots: int, run: str = RUN, attempt: Attempt = FIRST) -> Ready:
    """Consent to these slots' usual nodes as the members."""
    return Ready(attempt, Proposal({slot: node_id(slot) for slot in slots}, dict.fromkeys(slots, SEED), run))


WHOLE = ready(1, 2, 3)
OTHER = ready(1, 2, 3, run=OTHER_RUN)
OPEN, READY = Votes(FULL), Votes(FULL, ready=WHOLE)
LATER = Attempt(1, (3,), node_id(1))
"""Goes on without slot 3."""


def view(slot: int, votes: Votes = OPEN, *, copy: int = 0) -> View:
    return View(
        node_id=node_id(slot, copy),
        slot=slot,
        seed_id=SEED,
        phase="admit",
        claims=votes.claims,
        releases=votes.releases,
        attempt=votes.attempt,
        ready=votes.ready,
        founder=votes.founder,
    )


def go(own: int, votes: Votes, *others: View, count: int = 3) -> Decision:
    return decide(me(own, count), votes, {other.slot: other for other in others})


def reason(answer: object) -> str:
    assert isinstance(answer, WaitFor)
    return answer.reason


def test_the_lowest_slot_is_ready_first_with_its_run_as_the_token() -> None:
    assert go(1, OPEN, view(2), view(3)) == Freeze(WHOLE, RUN)
    assert "slot 1 (node1), which is to found the cluster, is not ready" in reason(go(2, OPEN, view(1), view(3)))
    assert go(2, OPEN, view(1, Votes(FULL, ready=OTHER)), view(3)) == Freeze(OTHER)


def test_its_token_stays_whatever_its_run_is() -> None:
    assert go(1, replace(OPEN, token=OTHER_RUN), view(2), view(3)) == Freeze(OTHER, OTHER_RUN)


def test_it_founds_once_all_are_ready_and_the_others_follow() -> None:
    assert "slot 3 (node3) agrees" in reason(go(1, READY, view(2, READY), view(3)))
    assert go(1, READY, view(2, READY), view(3, READY)) == Chosen(WHOLE)
    assert "has not decided yet" in reason(go(2, READY, view(1, READY), view(3, READY)))
    assert go(2, READY, view(1, replace(READY, founder=1))) == Chosen(WHOLE)


def test_a_site_of_one_founds_alone() -> None:
    alone = ready(1)
    assert go(1, Votes({1: node_id(1)}), count=1) == Freeze(alone, RUN)
    assert go(1, Votes({1: node_id(1)}, ready=alone), count=1) == Chosen(alone)


def test_a_decision_on_disk_sticks() -> None:
    decided = replace(READY, token=RUN, founder=1)
    assert outcome(me(1), decided) == Found(1)
    assert outcome(me(2), decided) == Follow(1)


def test_a_decision_is_nothing_to_who_is_no_member() -> None:
    decided = Votes(FULL, attempt=LATER, ready=ready(1, 2, attempt=LATER), founder=1)
    assert outcome(me(3), decided) == outcome(me(3, copy=1), decided)
    assert reason(outcome(me(3), decided)) == "the cluster was founded without slot 3 (node3)"
    assert "the cluster was founded with node 000000000000 in slot 2" in reason(outcome(me(2, copy=1), decided))


def test_a_copy_of_the_founder_does_not_found() -> None:
    assert "run 777777777777 of this node founds" in reason(outcome(me(1), replace(READY, token=None, founder=1)))


def test_who_is_no_member_is_told_by_who_decided() -> None:
    decided = view(1, Votes(FULL, attempt=LATER, ready=ready(1, 2, attempt=LATER), founder=1))
    answer = go(3, OPEN, decided, view(2))
    assert isinstance(answer, Outside)
    assert answer.reason == "slot 1 (node1) says that the cluster was founded without slot 3 (node3)"


def test_a_member_that_gave_no_consent_takes_the_decision_over() -> None:
    recovered = replace(WHOLE, attempt=LATER)
    decided = view(1, Votes(FULL, attempt=LATER, ready=recovered, founder=1))
    assert go(3, OPEN, decided) == Chosen(recovered)


def test_a_member_that_is_ready_for_another_run_of_the_founder() -> None:
    other = view(2, replace(READY, ready=OTHER))
    assert "is ready for run 888888888888 of the founder" in reason(go(1, READY, other, view(3, READY)))
    decided = view(1, replace(READY, ready=OTHER, founder=1))
    assert "for 777777777777" in reason(go(2, READY, decided, view(3, READY)))


def test_nothing_is_frozen_while_a_slot_changes_hands() -> None:
    changing = Votes(FULL, {3: node_id(3, 1)})
    assert "slot 3 (node3) goes from node" in reason(go(1, changing, view(2), view(3)))
    assert "slot 2 (node2) is about to release" in reason(go(1, OPEN, view(2, changing), view(3)))


def test_without_a_slot_the_others_are_enough() -> None:
    pair = {1: node_id(1), 2: node_id(2)}
    mine, theirs = Votes(pair, attempt=LATER), Votes(FULL, attempt=LATER)
    consent = ready(1, 2, attempt=LATER)
    assert go(1, mine, view(2, theirs)) == Freeze(consent, RUN)
    assert go(2, theirs, view(1, replace(mine, ready=consent))) == Freeze(consent)
    assert go(1, replace(mine, ready=consent), view(2, replace(theirs, ready=consent))) == Chosen(consent)


def test_all_who_are_asked_must_take_part_in_the_attempt() -> None:
    waits = reason(go(1, replace(OPEN, attempt=LATER), view(2)))
    assert waits == "slot 2 (node2) asks every slot, this node goes on without slot 3 (attempt 1)"
    again = Attempt(2, (), node_id(2))
    assert "asks every slot again (attempt 2)" in reason(go(1, OPEN, view(2, replace(OPEN, attempt=again)), view(3)))


def test_a_later_attempt_proposes_again_what_may_have_been_decided() -> None:
    """Slot 3 may have seen that all were ready, and have founded; nobody left can tell."""
    mine, theirs = replace(OPEN, attempt=LATER), replace(READY, attempt=LATER)
    again = replace(WHOLE, attempt=LATER)
    assert go(1, mine, view(2, theirs)) == Freeze(again)
    assert go(2, theirs, view(1, replace(mine, ready=again))) == Freeze(again)
    assert go(1, replace(mine, ready=again), view(2, replace(theirs, ready=again))) == Chosen(again)


def test_the_latest_consent_counts() -> None:
    last = Attempt(2, (1,), node_id(2))
    newer = replace(READY, attempt=last, ready=ready(1, 2, attempt=LATER, run=OTHER_RUN))
    older = replace(READY, attempt=last)
    assert go(2, older, view(3, newer)) == go(2, newer, view(3, older)) == Freeze(replace(newer.ready, attempt=last))


def test_two_proposals_of_one_attempt_are_two_machines_of_the_founder() -> None:
    mine, theirs = replace(READY, attempt=LATER), Votes(FULL, attempt=LATER, ready=OTHER)
    assert "ready for two runs of the founder, 777777777777 and 888888888888" in reason(go(1, mine, view(2, theirs)))


def test_nobody_agrees_to_another_node_in_its_own_slot() -> None:
    wiped = Votes({**FULL, 2: node_id(2, 1)}, attempt=LATER)
    leader = view(1, replace(READY, attempt=LATER, ready=replace(WHOLE, attempt=LATER)))
    answer = decide(me(2, copy=1), wiped, {1: leader})
    assert "is about to be founded with node 000000000000 in slot 2 (node2)" in reason(answer)


def test_reasons_name_the_slot() -> None:
    partial = {1: FULL[1], 2: FULL[2]}
    assert reason(go(1, Votes(partial), view(2), view(3))) == "slot 3 (node3) is not claimed yet"
    assert "slot 3 (node3) has not shown its votes" in reason(go(1, OPEN, view(2)))
    assert "no claim yet from slot 3 (node3)" in reason(go(1, OPEN, view(2, Votes(partial)), view(3)))
    assert "answers for it" in reason(go(1, OPEN, view(2, copy=1), view(3)))
    torn = {**FULL, 3: node_id(3, 1)}
    assert "to hold slot 3 (node3)" in reason(go(1, OPEN, view(2, Votes(torn)), view(3)))


def test_a_second_complete_set_of_machines_founds_nothing_beside_the_cluster() -> None:
    surplus = {slot: node_id(slot, 1) for slot in FULL}
    mine = Votes(surplus)
    others = {slot: view(slot, mine, copy=1) for slot in (2, 3)}
    members = {node_id(2): view(2, replace(READY, founder=1))}
    assert isinstance(decide(me(1, copy=1), mine, others), Freeze)
    answer = decide(me(1, copy=1), mine, others, members)
    assert isinstance(answer, Outside)
    assert (
        f"node {node_id(2)[:12]} says that the cluster was founded with node {node_id(1)[:12]} in slot 1"
        in answer.reason
    )
    undecided = {node_id(2): view(2, READY)}
    assert isinstance(decide(me(1, copy=1), mine, others, undecided), Freeze), "only a decision is for good"
    own = {node_id(2, 1): view(2, replace(READY, founder=1), copy=1)}
    assert isinstance(
        decide(me(1), OPEN, {slot: view(slot) for slot in (2, 3)}, own), Freeze
    ), "it is a member of that"
