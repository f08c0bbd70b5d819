"""Hints from the network: only ours, only well-formed, bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.site.discovery import MAX_ADDRESSES, Hint, read_hint

SITE = "0123456789abcdef0123456789abcdef"
TEXT: dict[str, str | None] = {"v": "1", "site": SITE, "slot": "2", "phase": "formed"}


def test_a_hint_has_ipv4_first() -> None:
    assert read_hint(SITE, TEXT, ["fe80::1%eth0", "192.0.2.12"]) == Hint(2, ("192.0.2.12", "fe80::1%eth0"))


def test_others_are_no_hints() -> None:
    assert read_hint(SITE, {**TEXT, "site": "f" * 32}, ["192.0.2.12"]) is None
    assert read_hint(SITE, {**TEXT, "v": "2"}, ["192.0.2.12"]) is None
    assert read_hint(SITE, TEXT, []) is None
    assert read_hint(SITE, {}, ["192.0.2.12"]) is None


@given(st.dictionaries(st.sampled_from(["slot", "phase"]), st.none() | st.text(max_size=10)), st.integers(1, 50))
def test_any_text_of_our_site_is_bounded(text: dict[str, str | None], count: int) -> None:
    hint = read_hint(SITE, {**TEXT, **text}, [f"192.0.2.{number}" for number in range(count)])
    assert hint is not None
    assert hint.slot is None or 0 <= hint.slot <= 999
    assert len(hint.addresses) <= MAX_ADDRESSES
