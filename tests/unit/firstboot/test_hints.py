"""Hints: what strangers say is bounded and never more than a place to look."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster.discovery import Announcement, usable
from firstboot.cluster.hints import MAX_ADDRESSES, MAX_AGE_S, MAX_HINTS, MAX_PER_SLOT, Hints, read_txt

SITE, NODE = "c" * 32, "a" * 32
GOOD = {key.encode(): value.encode() for key, value in Announcement(SITE, 2, NODE, "admit", 7463).txt().items()}


class Clock:
    """A clock that moves when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_own_announcement_is_understood() -> None:
    assert read_txt(GOOD, site_id=SITE) == (NODE, 2, "admit")


@pytest.mark.parametrize(
    "change",
    [
        {b"site": b"d" * 32},
        {b"v": b"2"},
        {b"slot": b"0"},
        {b"slot": b"1000"},
        {b"slot": b"2\n"},
        {b"node": b"A" * 32},
        {b"node": b"\xff" * 32},
        {b"phase": b"../../etc"},
        {b"extra": b"x" * 600},
        {b"slot": None},
    ],
)
def test_anything_else_is_ignored(change: dict[bytes, bytes | None]) -> None:
    assert read_txt({**GOOD, **change}, site_id=SITE) is None


@given(st.dictionaries(st.binary(max_size=20), st.none() | st.binary(max_size=300), max_size=20))
def test_rubbish_is_harmless(properties: dict[bytes, bytes | None]) -> None:
    assert read_txt(properties, site_id=SITE) is None


def test_a_flood_of_one_slot_leaves_the_others_alone() -> None:
    clock = Clock()
    hints = Hints(frozenset({1, 2}), clock)
    hints.add(NODE, 2, "admit", ("192.0.2.2",), 7463)
    for number in range(5000):
        clock.now += 0.01
        hints.add(f"{number:032x}", 1, "admit", ("192.0.2.66",), 7463)
    assert len(hints.of_slot(1)) == MAX_PER_SLOT
    assert [hint.node_id for hint in hints.of_slot(2)] == [NODE]


def test_a_flood_of_all_slots_is_bounded() -> None:
    clock = Clock()
    hints = Hints(frozenset(range(1, 301)), clock)
    for number in range(3000):
        clock.now += 0.01
        hints.add(f"{number:032x}", number % 300 + 1, "admit", tuple(f"192.0.2.{n}" for n in range(50)), 7463)
    assert len(hints) == MAX_HINTS
    assert all(len(hint.addresses) == MAX_ADDRESSES for hint in hints.of_slot(300))


def test_hints_age() -> None:
    clock = Clock()
    hints = Hints(frozenset({1, 2}), clock)
    hints.add(NODE, 2, "admit", ("192.0.2.2",), 7463)
    clock.now = MAX_AGE_S + 1
    hints.add("b" * 32, 1, "admit", ("192.0.2.1",), 7463)
    assert hints.of_slot(2) == []


def test_useless_hints_are_refused() -> None:
    hints = Hints(frozenset({1}), Clock())
    assert not hints.add(NODE, 9, "admit", ("192.0.2.2",), 7463)
    assert not hints.add(NODE, 1, "admit", (), 7463)
    assert not hints.add(NODE, 1, "admit", ("192.0.2.2",), 0)


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("192.0.2.1", True),
        ("fe80::1%2", True),
        ("2001:db8::1", True),
        ("fe80::1", False),
        ("127.0.0.1", False),
        ("::1", False),
        ("224.0.0.251", False),
        ("0.0.0.0", False),
        ("host", False),
    ],
)
def test_addresses_that_can_be_a_members(address: str, good: bool) -> None:
    assert usable(address) is good


def test_who_is_a_member_no_more_is_forgotten_until_it_says_something_again() -> None:
    hints = Hints(frozenset((1, 2)), Clock())
    for node, slot in (("a" * 32, 1), ("b" * 32, 2)):
        hints.add(node, slot, "formed", ("192.0.2.1",), 7463)
    hints.forget({"a" * 32})
    assert [len(hints.of_slot(slot)) for slot in (1, 2)] == [0, 1]
    assert hints.add("a" * 32, 1, "formed", ("192.0.2.1",), 7463), "that is news"
