"""Hints: what strangers say is bounded and never more than a place to look."""

from __future__ import annotations

import random

from firstboot.cluster.events import Endpoint
from firstboot.cluster.hints import MAX_AGE_S, MAX_HINTS, MAX_PER_SLOT, Hints

HERE = Endpoint("192.0.2.2", 7463)


class Clock:
    """A clock that moves when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(*slots: int) -> tuple[Hints, Clock]:
    clock = Clock()
    return Hints(frozenset(slots), clock, random.Random(1)), clock


def somewhere(number: int) -> Endpoint:
    return Endpoint(f"10.0.{number // 250}.{number % 250 + 1}", 7463)


def test_only_what_is_new_is_news() -> None:
    hints, _ = make(1, 2)
    assert hints.add(2, [HERE])
    assert not hints.add(2, [HERE])
    assert not hints.add(9, [HERE]), "the site has no such slot"
    assert not hints.add(1, [])
    assert hints.slots() == {2}


def test_a_flood_of_one_slot_leaves_the_others_alone() -> None:
    hints, _ = make(1, 2)
    hints.add(2, [HERE])
    for number in range(5000):
        hints.add(1, [somewhere(number)])
    assert len(hints.of_slot(1)) == MAX_PER_SLOT
    assert hints.of_slot(2) == [HERE]


def test_a_flood_of_all_slots_is_bounded() -> None:
    hints, _ = make(*range(1, 301))
    for number in range(12_000):
        hints.add(number % 300 + 1, [somewhere(number)])
    assert len(hints) == MAX_HINTS


def test_no_flood_of_the_networks_own_addresses_drives_a_true_one_out() -> None:
    """The link is a /24: there are no more addresses than a slot has room for, however many say so."""
    hints, _ = make(1)
    hints.add(1, [HERE])
    for number in range(5000):
        hints.add(1, [Endpoint(f"192.0.2.{number % 254 + 1}", 7463)])
        hints.add(1, [Endpoint(f"fe80::{number + 1:x}%2", 7463)])
    assert HERE in hints.of_slot(1)


def test_every_place_has_its_turn() -> None:
    """Where nobody looked yet comes first, then where it is longest ago: after one tour each was visited once."""
    hints, clock = make(1)
    for number in range(200):
        hints.add(1, [somewhere(number)])
    visited = []
    for _ in range(200 // 8):
        clock.now += 5.0
        for endpoint in hints.of_slot(1)[:8]:
            visited.append(endpoint)
            hints.failed(1, endpoint)
            hints.add(1, [endpoint])  # it is said again and again
    assert len(set(visited)) == len(visited) == 200


def test_neither_ip_version_hides_the_other() -> None:
    hints, _ = make(1)
    hints.add(1, [Endpoint(f"fe80::{number:x}%2", 7463) for number in range(1, 100)])
    hints.add(1, [HERE])
    assert HERE in hints.of_slot(1)[:2]


def test_hints_age() -> None:
    hints, clock = make(1, 2)
    hints.add(2, [HERE])
    clock.now = MAX_AGE_S + 1
    assert hints.of_slot(2) == []
    assert hints.add(2, [HERE]), "it is news again"


def test_a_slot_that_nobody_has_is_forgotten_until_it_is_said_again() -> None:
    hints, _ = make(1, 2)
    hints.add(1, [HERE])
    hints.add(2, [HERE])
    hints.forget({1})
    assert [len(hints.of_slot(slot)) for slot in (1, 2)] == [0, 1]
    assert hints.add(1, [HERE]), "that is news"
