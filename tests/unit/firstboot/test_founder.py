"""At most one founder, whatever machines there are, in whatever order claims and views travel."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster.claims import Granted, consider
from firstboot.cluster.founder import Follow, Found, WaitFor, decide
from firstboot.cluster.views import View

SEED = "5" * 32


def node_id(slot: int, copy: int) -> str:
    return f"{slot:016x}{copy:016x}"


def view(slot: int, claims: dict[int, str], *, copy: int = 0, founder: int | None = None) -> View:
    return View(node_id=node_id(slot, copy), slot=slot, seed_id=SEED, phase="admit", claims=claims, founder=founder)


def names(count: int) -> dict[int, str]:
    return {slot: f"node{slot}" for slot in range(1, count + 1)}


FULL = {slot: node_id(slot, 0) for slot in (1, 2, 3)}
VIEWS = {slot: view(slot, FULL) for slot in (1, 2, 3)}


def test_the_lowest_slot_founds_and_the_others_follow() -> None:
    assert decide(1, names(3), FULL, VIEWS) == Found(1)
    assert decide(2, names(3), FULL, VIEWS) == Follow(1)


def test_a_site_of_one_founds_alone() -> None:
    alone = {1: node_id(1, 0)}
    assert decide(1, names(1), alone, {1: view(1, alone)}) == Found(1)


def test_a_decision_sticks_whatever_the_views_say() -> None:
    assert decide(2, names(3), {}, {}, decided=1) == Follow(1)
    assert decide(1, names(3), {}, {}, decided=1) == Found(1)


def reason(answer: object) -> str:
    assert isinstance(answer, WaitFor)
    return answer.reason


def test_reasons_name_the_slot() -> None:
    partial = {1: FULL[1], 2: FULL[2]}
    assert reason(decide(1, names(3), partial, VIEWS)) == "slot 3 (node3) is not claimed yet"
    assert "slot 3 (node3) has not shown its votes" in reason(decide(1, names(3), FULL, {1: VIEWS[1], 2: VIEWS[2]}))
    assert "no claim yet from slot 3 (node3)" in reason(decide(1, names(3), FULL, {**VIEWS, 2: view(2, partial)}))
    assert "answers for it" in reason(decide(1, names(3), FULL, {**VIEWS, 2: view(2, FULL, copy=1)}))
    torn = {**FULL, 3: node_id(3, 1)}
    assert "to hold slot 3 (node3)" in reason(decide(1, names(3), FULL, {**VIEWS, 2: view(2, torn)}))
    assert "follows slot 2" in reason(decide(1, names(3), FULL, {**VIEWS, 3: view(3, FULL, founder=2)}))


@dataclass
class Machine:
    """A machine with a slot's seed; `history` has every state of its votes, because views may be old."""

    slot: int
    copy: int
    claims: dict[int, str] = field(default_factory=dict)
    history: list[dict[int, str]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return node_id(self.slot, self.copy)

    def hear(self, other: Machine, slots: frozenset[int]) -> None:
        answer = consider(self.claims, slots, other.slot, other.id)
        if isinstance(answer, Granted):
            self.claims = answer.claims
        self.history.append(self.claims)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[Machine]]:
    """Machines, some slots with two of them (one slot at least with one), after claims in any order."""
    count = draw(st.integers(2, 4))
    doubled = draw(st.sets(st.integers(1, count), max_size=count - 1))
    machines = [Machine(slot, copy) for slot in range(1, count + 1) for copy in range(2 if slot in doubled else 1)]
    slots = frozenset(range(1, count + 1))
    for machine in machines:
        machine.hear(machine, slots)
    for claimant, voter in draw(
        st.lists(st.tuples(st.sampled_from(machines), st.sampled_from(machines)), max_size=60)
    ):
        voter.hear(claimant, slots)
    return count, machines


@given(histories(), st.randoms(use_true_random=False))
def test_at_most_one_node_founds(setting: tuple[int, list[Machine]], chance: object) -> None:
    count, machines = setting
    founders = set()
    for machine in machines:
        for fresh in (True, False):
            views = {}
            for other in machines:
                if machine.claims.get(other.slot, other.id) == other.id:
                    known = other.history[-1] if fresh else chance.choice(other.history)  # type: ignore[attr-defined]
                    views[other.slot] = view(other.slot, known, copy=other.copy)
            if isinstance(decide(machine.slot, names(count), machine.claims, views), Found):
                founders.add(machine.id)
    assert len(founders) <= 1


@given(histories())
def test_all_who_decide_agree_on_who_holds_the_slots(setting: tuple[int, list[Machine]]) -> None:
    count, machines = setting
    beliefs = set()
    for machine in machines:
        views = {
            other.slot: view(other.slot, other.claims, copy=other.copy)
            for other in machines
            if machine.claims.get(other.slot) == other.id
        }
        if not isinstance(decide(machine.slot, names(count), machine.claims, views), WaitFor):
            beliefs.add(tuple(sorted(machine.claims.items())))
    assert len(beliefs) <= 1


def test_everybody_claiming_everywhere_forms() -> None:
    machines = [Machine(slot, 0) for slot in (1, 2, 3)]
    slots = frozenset((1, 2, 3))
    for voter in machines:
        for claimant in machines:
            voter.hear(claimant, slots)
    views = {machine.slot: view(machine.slot, machine.claims) for machine in machines}
    decisions = [decide(machine.slot, names(3), machine.claims, views) for machine in machines]
    assert decisions == [Found(1), Follow(1), Follow(1)]
