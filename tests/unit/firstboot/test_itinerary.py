"""Where a round goes: bounded, who matters first, nobody forgotten."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from firstboot.cluster.ballots import Attempt, Proposal, Ready, Votes
from firstboot.cluster.clocks import MAX_AGE_S
from firstboot.cluster.events import Endpoint, Target, Visit
from firstboot.cluster.exchange import FORMING_S
from firstboot.cluster.itinerary import PEERS, Pace, targets
from firstboot.cluster.presence import Patience
from firstboot.cluster.roster import Roster, fail, fold
from firstboot.cluster.views import View

PORT = 7463


def node(slot: int) -> str:
    return f"{slot:032x}"


def claims(slots: int) -> dict[int, str]:
    return {slot: node(slot) for slot in range(1, slots + 1)}


def ready(slots: int) -> Ready:
    return Ready(Attempt(), Proposal(claims(slots), {}, "e" * 32))


@dataclass
class Site:
    """What one node knows of a site of so many slots, and when it last visited each."""

    own: int
    slots: int
    votes: Votes = field(default_factory=Votes)
    now_s: float = 0.0
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        self.roster = Roster(own_slot=self.own, own_id=node(self.own))
        self.heard: dict[int, float] = {}
        self.chance = random.Random(1)

    def meet(self, slot: int, **view: object) -> None:
        said: dict[str, object] = {"claims": claims(self.slots), "seed_id": "5" * 32, "phase": "admit", **view}
        shown = View.model_validate({"node_id": node(slot), "slot": slot, **said})
        self.roster = fold(
            self.roster, self.votes.claims, Visit(Endpoint(f"10.0.{slot // 250}.{slot % 250}", PORT), slot, shown)
        )
        self.heard[slot] = self.now_s

    def meet_all(self, **view: object) -> None:
        for slot in range(1, self.slots + 1):
            if slot != self.own:
                self.meet(slot, **view)

    def go(
        self, hinted: dict[int, list[Endpoint]] | None = None, peers: list[Endpoint] | None = None
    ) -> list[Target]:
        offers = hinted or {}
        return targets(
            self.roster,
            self.votes,
            range(1, self.slots + 1),
            self.pace,
            lambda slot: self.now_s - self.heard.get(slot, 0.0),
            lambda slot: offers.get(slot, []),
            peers or [],
            PORT,
            self.chance,
        )

    def slots_of(self, goals: list[Target]) -> list[int | None]:
        return [goal.slot for goal in goals]


def formed(own: int, slots: int) -> Site:
    site = Site(own, slots, Votes(claims(slots), ready=ready(slots), founder=1))
    site.meet_all(ready=ready(slots), founder=1)
    return site


def test_a_small_site_is_visited_whole() -> None:
    site = formed(2, 9)
    site.now_s = 10.0
    assert sorted(site.slots_of(site.go()), key=str) == [1, 3, 4, 5, 6, 7, 8, 9]


def test_who_was_visited_just_now_is_left_in_peace() -> None:
    site = formed(2, 3)
    site.now_s = 0.05
    assert site.go() == []


def test_a_large_site_is_gone_round_in_turns_and_nobody_is_left_out() -> None:
    site = formed(150, 300)
    longest_s, visits = 0.0, 0
    for _ in range(600):
        site.now_s += FORMING_S
        goals = site.slots_of(site.go())
        assert len(goals) <= Pace().usual
        for slot in goals:
            assert slot is not None
            longest_s = max(longest_s, site.now_s - site.heard[slot])
            site.meet(slot, ready=ready(300), founder=1)
        visits += len(goals)
    assert set(site.heard) == set(range(1, 301)) - {150}
    assert longest_s <= MAX_AGE_S < Patience().release_after_s / 2
    assert max(site.now_s - at_s for at_s in site.heard.values()) < MAX_AGE_S
    assert visits / site.now_s < 4.5


def test_not_all_begin_with_the_same_member() -> None:
    first = {site.slots_of(site.go())[1] for own in range(2, 40) if (site := later(formed(own, 60)))}
    assert len(first) == 38


def later(site: Site) -> Site:
    site.now_s = 60.0
    return site


def test_the_lowest_slot_is_visited_by_all_but_not_all_the_time() -> None:
    site = formed(7, 300)
    site.now_s = 5.0
    assert site.go() == []
    site.now_s = 9.1
    assert site.slots_of(site.go()) == [1]


def test_who_lacks_our_vote_is_visited_at_once() -> None:
    site = Site(2, 100, Votes({2: node(2)}))
    site.meet_all()
    site.meet(77, claims={})
    assert site.slots_of(site.go())[0] == 77


def test_the_lead_wants_to_see_everybodys_votes_once_all_voted() -> None:
    site = Site(1, 100, Votes(claims(99)))
    site.meet_all(claims=claims(99))
    assert site.go() == []
    site.votes = Votes(claims(100))
    assert len(site.go()) == Pace().urgent
    site.meet_all()
    assert site.go() == []
    site.votes = replace(site.votes, ready=ready(100))
    assert len(site.go()) == Pace().urgent


def test_the_others_do_once_the_lead_is_ready() -> None:
    site = Site(2, 100, Votes(claims(100)))
    site.meet_all(claims=claims(99))
    assert site.go() == []
    site.meet(1, ready=ready(100))
    assert len(site.go()) == Pace().urgent


def test_when_a_slot_changes_hands_all_are_looked_at_that_do_not_show_it() -> None:
    after = {**claims(100), 3: "9" * 32}
    site = Site(2, 100, Votes(claims(100), releases={3: "9" * 32}))
    site.meet_all(claims=after)
    site.meet(50)
    site.meet(51, releases={3: "9" * 32})
    assert site.slots_of(site.go())[0] == 50
    assert 51 not in site.slots_of(site.go())


def test_urgent_visits_leave_room_for_the_silent() -> None:
    site = Site(2, 200, Votes({2: node(2)}))
    site.meet_all(claims={})
    site.now_s = 200.0
    for slot in range(3, 180):
        site.meet(slot, claims={})
    silent = [slot for slot in site.slots_of(site.go()) if slot is not None and slot >= 180]
    assert len(silent) >= Pace().least


def test_who_answers_in_a_holders_place_is_met_again_in_each_round() -> None:
    site = Site(2, 5, Votes(claims(5)))
    site.meet_all()
    site.roster = fail(site.roster, 4, "gone", "10.0.0.4")
    rival = View(node_id="9" * 32, slot=4, seed_id="5" * 32, phase="admit")
    site.roster = fold(site.roster, site.votes.claims, Visit(Endpoint("10.0.0.99", PORT), 4, rival))
    assert Target(4, Endpoint("10.0.0.99", PORT)) in site.go()


def test_members_that_answer_are_visited_where_they_answered() -> None:
    site = later(formed(1, 3))
    goals = site.go({2: [Endpoint("192.0.2.66", PORT), Endpoint("10.0.0.2", 99)]})
    assert goals == [Target(2, Endpoint("10.0.0.2", 99)), Target(3, Endpoint("10.0.0.3", PORT))]


def test_a_member_that_moved_is_looked_for_everywhere() -> None:
    site = formed(1, 3)
    site.meet(2, address="192.0.2.22")
    site.roster = fail(site.roster, 2, "gone", "10.0.0.2")
    goals = site.go({2: [Endpoint("192.0.2.7", PORT)]}, [Endpoint("192.0.2.8", PORT)])
    assert {goal.endpoint.address for goal in goals} == {"192.0.2.22", "192.0.2.7", "192.0.2.8"}


def test_a_flood_of_hints_is_tried_in_parts_and_fairly() -> None:
    flood = [Endpoint(f"192.0.2.{number}", PORT) for number in range(100)]
    site = Site(1, 3)
    assert len(site.go({2: flood})) == Pace().searched // 3, "one of three slots, the own one counted"
    everything = Site(1, 300).go({slot: flood for slot in range(2, 301)}, flood * 3)
    assert len([goal for goal in everything if not goal.spare]) == Pace().searched
    assert len(everything) == 2 * Pace().searched + PEERS


def test_every_address_of_many_missing_slots_gets_its_turn() -> None:
    hinted = {slot: [Endpoint(f"10.{place}.0.{slot}", PORT) for place in range(6)] for slot in range(2, 101)}
    site, tried = Site(1, 100), set()
    for _ in range(200):
        tried |= {goal.endpoint for goal in site.go(hinted)}
    assert tried == {endpoint for endpoints in hinted.values() for endpoint in endpoints}


def test_the_best_address_of_each_slot_comes_first() -> None:
    site = Site(1, 4)
    hinted = {slot: [Endpoint(f"10.0.0.{slot}", PORT), Endpoint(f"10.9.0.{slot}", PORT)] for slot in (2, 3, 4)}
    goals = site.go(hinted, [Endpoint("192.0.2.8", PORT)])
    assert {goal.endpoint.address for goal in goals if not goal.spare} == {"10.0.0.2", "10.0.0.3", "10.0.0.4"}
    assert {goal.endpoint.address for goal in goals if goal.spare} == {
        "10.9.0.2",
        "10.9.0.3",
        "10.9.0.4",
        "192.0.2.8",
    }


def test_a_member_is_also_visited_at_its_storage_address() -> None:
    site = later(formed(1, 3))
    site.meet(2, storage_address="198.51.100.2")
    site.now_s += 5
    assert Target(2, Endpoint("198.51.100.2", PORT)) in site.go()
