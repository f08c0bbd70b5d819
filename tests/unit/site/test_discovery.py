"""Hints from the network: only ours, only well-formed, bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.site.discovery import MAX_ADDRESSES, Hint, read_hint
from firstboot.cluster.discovery import Announcement

SITE = "0123456789abcdef0123456789abcdef"
ANNOUNCED = {
    key.encode(): value.encode() for key, value in Announcement(SITE, 2, "a" * 32, "formed", 7463).txt().items()
}


def test_a_hint_has_ipv4_first() -> None:
    assert read_hint(SITE, ANNOUNCED, ["fe80::1%eth0", "192.0.2.12"]) == Hint(2, ("192.0.2.12", "fe80::1%eth0"))


def test_ipv4s_own_link_local_addresses_are_last() -> None:
    """Without an interface they lead nowhere, where this machine has no such address itself."""
    hint = read_hint(SITE, ANNOUNCED, ["169.254.7.7", "fe80::1%eth0", "192.0.2.12"])
    assert hint == Hint(2, ("192.0.2.12", "fe80::1%eth0", "169.254.7.7"))


@pytest.mark.parametrize("change", [{b"site": b"f" * 32}, {b"v": b"2"}, {b"slot": b"x"}, {b"slot": None}])
def test_others_are_no_hints(change: dict[bytes, bytes | None]) -> None:
    assert read_hint(SITE, {**ANNOUNCED, **change}, ["192.0.2.12"]) is None
    assert read_hint(SITE, {}, ["192.0.2.12"]) is None


def test_a_hint_without_an_address_is_none() -> None:
    assert read_hint(SITE, ANNOUNCED, []) is None


@given(st.integers(1, 50))
def test_addresses_are_bounded(count: int) -> None:
    hint = read_hint(SITE, ANNOUNCED, [f"192.0.2.{number}" for number in range(count)])
    assert hint is not None
    assert len(hint.addresses) == min(count, MAX_ADDRESSES)
