"""Hints from the network: the best address first, bounded, and none without an address."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.site.discovery import MAX_ADDRESSES, Hint, hints
from firstboot.cluster.announcement import Announcement, Heard

SITE = "0123456789abcdef0123456789abcdef"
SAID = Announcement(SITE, 2, "a" * 32, "disks", 7463, "no disk matches")


def test_a_hint_has_ipv4_first_and_says_why_the_node_waits() -> None:
    heard = Heard(SAID, ("fe80::1%3", "192.0.2.12"))
    assert hints([heard]) == (Hint(2, ("192.0.2.12", "fe80::1%3"), "disks", "no disk matches"),)


def test_ipv4s_own_link_local_addresses_are_last() -> None:
    """Without an interface they lead nowhere, where this machine has no such address itself."""
    (hint,) = hints([Heard(SAID, ("169.254.7.7", "fe80::1%3", "192.0.2.12"))])
    assert hint.addresses == ("192.0.2.12", "fe80::1%3", "169.254.7.7")


def test_a_hint_without_a_usable_address_is_none() -> None:
    assert hints([Heard(SAID, ()), Heard(SAID, ("127.0.0.1", "fe80::1", ""))]) == ()


@given(st.integers(1, 50))
def test_addresses_are_bounded(count: int) -> None:
    (hint,) = hints([Heard(SAID, tuple(f"192.0.2.{number}" for number in range(1, count + 1)))])
    assert len(hint.addresses) == min(count, MAX_ADDRESSES)
