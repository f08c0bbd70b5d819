"""From one cluster authority to the next: whoever dies, those that answer trust each other throughout."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster import rotation
from firstboot.cluster.changes import ClaimSlot, ReleaseSlot, RemoveNode, RetireAuthority, RotateAuthority
from firstboot.cluster.members import Members
from firstboot.cluster.rotation import Activate, Certify, Discard, Fetch, Held, Make, Own, Propose, Trim
from tests.unit.cluster.documents import founded, node, seed

OLD, NEW, LATER = "a" * 32, "b" * 32, "c" * 32


def held(authority: str, certified: str | None = None) -> Held:
    return Held(authority, certified or authority)


def own(authority: str, certified: str | None = None, *trusted: str, candidate: str | None = None) -> Own:
    return Own(held(authority, certified), frozenset((authority, *trusted)), candidate)


def removed(*authorities: str, rotated: bool = False) -> Members:
    """Three of four members are left, and these authorities are trusted."""
    members = RemoveNode(node(4)).apply(founded(4))
    assert isinstance(members, Members)
    return Members(
        members.cluster_id,
        members.epoch + len(authorities),
        members.slots,
        members.removed,
        authorities,
        members.epoch + 1 if rotated else 0,
    )


def step(members: Members, slot: int, mine: Own, others: dict[int, Held]) -> rotation.Step | None:
    return rotation.step(members, node(slot), mine, others)


def test_nothing_is_done_while_nobody_was_removed() -> None:
    assert step(founded(4), 1, own(OLD), {2: held(OLD)}) is None


def test_the_first_that_answers_begins_with_the_authority_that_there_is() -> None:
    others = {2: held(OLD), 3: held(OLD)}
    assert step(removed(), 1, own(OLD), others) == Propose(RotateAuthority(OLD, ""))
    assert step(removed(OLD), 1, own(OLD), others) == Make()
    assert step(removed(OLD), 1, own(OLD, candidate=NEW), others) == Propose(RotateAuthority(NEW, OLD))
    assert step(removed(OLD), 2, own(OLD), {1: held(OLD), 3: held(OLD)}) is None
    assert step(removed(OLD), 2, own(OLD), {3: held(OLD)}) == Make(), "the first one does not answer"


def test_everybody_holds_the_new_one_before_anybody_shows_it() -> None:
    members = removed(NEW, OLD, rotated=True)
    assert step(members, 1, own(OLD, candidate=NEW), {2: held(OLD)}) == Activate()
    assert step(members, 2, own(OLD), {1: held(NEW, OLD), 3: held(OLD)}) == Fetch((1,))
    assert step(members, 2, own(OLD), {3: held(OLD)}) is None, "nobody that answers has it"
    assert step(members, 1, own(NEW, OLD, OLD), {2: held(NEW, OLD), 3: held(OLD)}) is None
    assert step(members, 1, own(NEW, OLD, OLD), {2: held(NEW, OLD), 3: held(NEW, OLD)}) == Certify()


def test_the_old_one_goes_when_nobody_that_answers_shows_it() -> None:
    members = removed(NEW, OLD, rotated=True)
    assert step(members, 1, own(NEW, NEW, OLD), {2: held(NEW), 3: held(NEW, OLD)}) is None
    (proposed,) = {step(members, 1, own(NEW, NEW, OLD), {2: held(NEW), 3: held(NEW)})}
    assert isinstance(proposed, Propose)
    assert step(members, 2, own(NEW, NEW, OLD), {1: held(NEW), 3: held(NEW)}) is None
    assert step(removed(NEW, rotated=True), 2, own(NEW, NEW, OLD), {1: held(NEW), 3: held(NEW)}) == Trim()


def test_a_candidate_that_came_to_nothing_is_dropped() -> None:
    assert step(removed(NEW, OLD, rotated=True), 2, own(NEW, OLD, OLD, candidate=LATER), {1: held(NEW)}) == Discard()


def test_an_authority_that_was_lost_with_its_maker_is_replaced_once_that_is_removed() -> None:
    lost = removed(NEW, OLD, rotated=True)
    assert step(lost, 2, own(OLD), {3: held(OLD)}) is None
    gone = RemoveNode(node(1)).apply(lost)
    assert isinstance(gone, Members)
    assert step(gone, 2, own(OLD), {3: held(OLD)}) == Make()
    assert step(gone, 2, own(OLD, candidate=LATER), {3: held(OLD)}) == Propose(RotateAuthority(LATER, NEW))


def test_a_candidate_that_is_left_of_what_is_in_use_is_dropped_first() -> None:
    again = RemoveNode(node(3)).apply(removed(NEW, OLD, rotated=True))
    assert isinstance(again, Members)
    assert (
        step(again, 1, own(NEW, NEW, OLD, candidate=NEW), {2: held(NEW)}) == Discard()
    ), "cut off before it was gone"
    twice = RotateAuthority(LATER, NEW).apply(again)
    assert isinstance(twice, Members)
    thrice = RemoveNode(node(2)).apply(twice)
    assert isinstance(thrice, Members)
    assert step(thrice, 1, own(LATER, OLD, OLD, candidate=NEW), {}) == Discard(), "another one came after it"
    retired = replace(thrice, authorities=(LATER,))
    mine = own(NEW, NEW, candidate=NEW)
    assert step(retired, 1, mine, {}) == Discard(), "a removed node may have its key"


def test_as_many_authorities_as_can_be_make_way_for_another_one() -> None:
    names = [f"{number:032x}" for number in range(8)]
    full = removed(*names)
    assert step(full, 1, own(names[0], names[7]), {2: held(names[0], names[6])}) == Propose(RetireAuthority(names[5]))
    shown = {slot: held(names[0], name) for slot, name in enumerate(names[1:], 2)}
    assert step(full, 1, own(names[0], names[7]), shown) == Propose(RetireAuthority(names[6])), "two show the oldest"
    less = RetireAuthority(names[5]).apply(full)
    assert isinstance(less, Members)
    assert step(less, 1, own(names[0], names[7]), {2: held(names[0], names[6])}) == Make()


NAMES = st.sampled_from([f"{number:032x}" for number in range(10)])


@given(
    known=st.lists(NAMES, unique=True, max_size=8),
    rotates=st.booleans(),
    mine=st.tuples(NAMES, st.none() | NAMES, st.none() | NAMES),
    others=st.lists(st.tuples(NAMES, NAMES), max_size=2),
)
def test_nothing_is_proposed_that_is_refused_or_changes_nothing(
    known: list[str],
    rotates: bool,
    mine: tuple[str, str | None, str | None],
    others: list[tuple[str, str]],
) -> None:
    members = removed(*known, rotated=not rotates)
    seen = {slot: held(*pair) for slot, pair in enumerate(others, 2)}
    taken = step(members, 1, Own(Held(*mine[:2]), frozenset(known), mine[2]), seen)
    if isinstance(taken, Propose):
        outcome = taken.change.apply(members)
        assert isinstance(outcome, Members), outcome
        assert outcome != members


def test_progress_names_who_was_not_reached() -> None:
    names = {1: "node1", 2: "node2"}
    assert rotation.progress(founded(4), names, ()) == ""
    assert "node2" in rotation.progress(removed(NEW, OLD, rotated=True), names, (2,))
    assert rotation.progress(removed(OLD), names, (), "no").endswith("after a removal; no")


@dataclass
class Machine:
    """A member with what it has; off, it does nothing and is not seen."""

    slot: int
    mine: Own
    on: bool = True


@dataclass
class Play:
    """Members that take their steps one at a time, in an order that somebody else chooses."""

    members: Members
    machines: dict[int, Machine] = field(default_factory=dict)
    made: int = 0

    def others(self, slot: int) -> dict[int, Held]:
        return {other: m.mine.held for other, m in self.machines.items() if other != slot and m.on}

    def move(self, slot: int) -> bool:
        """Whether the machine of that slot found something to do."""
        machine = self.machines[slot]
        taken = step(self.members, slot, machine.mine, self.others(slot))
        mine, newest = machine.mine, self.members.authorities[0] if self.members.authorities else ""
        match taken:
            case None:
                return False
            case Propose():
                outcome = taken.change.apply(self.members)
                self.members = outcome if isinstance(outcome, Members) else self.members
            case Make():
                self.made += 1
                machine.mine = Own(mine.held, mine.trusted, f"{self.made:032x}")
            case Activate():
                machine.mine = self.hold(mine, newest)
            case Fetch():
                source = self.machines[taken.slots[0]].mine
                machine.mine = self.hold(Own(mine.held, mine.trusted | source.trusted, mine.candidate), newest)
            case Certify():
                machine.mine = Own(Held(newest, newest), mine.trusted, mine.candidate)
            case Trim():
                machine.mine = Own(mine.held, mine.trusted & set(self.members.authorities), mine.candidate)
            case Discard():
                machine.mine = Own(mine.held, mine.trusted)
        return True

    def hold(self, mine: Own, newest: str) -> Own:
        """As on a node: a certificate that is of none of the trusted ones is issued anew."""
        trusted = (mine.trusted | {newest}) & set(self.members.authorities)
        certified = mine.held.certified if mine.held.certified in trusted else newest
        candidate = mine.candidate if mine.candidate != newest else None
        return Own(Held(newest, certified), trusted, candidate)

    def require_trust(self, among: set[int]) -> None:
        for one in among:
            for other in among:
                certified = self.machines[one].mine.held.certified
                assert certified in self.machines[other].mine.trusted, f"slot {other} does not trust slot {one}"

    def settle(self) -> None:
        for _ in range(200):
            moves = [self.move(slot) for slot, machine in self.machines.items() if machine.on]
            if not any(moves):
                return
        raise AssertionError("it never ends")


@given(
    order=st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.integers(1, 3)), max_size=60),
)
def test_whoever_is_off_meanwhile_it_ends_with_one_authority(order: list[tuple[int, bool, int]]) -> None:
    play = Play(removed())
    play.machines = {slot: Machine(slot, own(OLD)) for slot in (1, 2, 3)}
    always = {1, 2, 3}
    for slot, toggles, other in order:
        if toggles and sum(machine.on for machine in play.machines.values()) > 2:
            play.machines[other].on = False
            always.discard(other)
        elif toggles:
            for machine in play.machines.values():
                machine.on = True
        if play.machines[slot].on:
            play.move(slot)
        play.require_trust(always)
    for machine in play.machines.values():
        machine.on = True
    play.settle()
    (newest,) = play.members.authorities
    assert newest != OLD
    assert {machine.mine for machine in play.machines.values()} == {own(newest)}


def test_a_machine_that_came_later_does_not_begin_a_rotation() -> None:
    released = ReleaseSlot(4, node(4)).apply(founded(4))
    assert isinstance(released, Members)
    assert released.needs_rotation
    rotated = Members(released.cluster_id, 4, released.slots, released.removed, (NEW,), rotated=3)
    joined = ClaimSlot(4, seed(4, 1), node(4, 1)).apply(rotated)
    assert isinstance(joined, Members)
    assert not joined.needs_rotation
    assert joined.rotated == 3
    assert rotation.step(joined, node(4, 1), own(NEW), {1: held(NEW)}) is None
