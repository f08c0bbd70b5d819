"""Announcements: what a node says is understood, anything else is not, and no odd text reaches a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster.announcement import MAX_TXT_BYTES, MAX_WHY, Announcement, read_txt, shown, usable

SITE, NODE = "c" * 32, "a" * 32
OWN = Announcement(SITE, 2, NODE, "admit", 7463, "slot 3 (node3) has not appeared")
GOOD: dict[bytes, bytes | None] = {key.encode(): value.encode() for key, value in OWN.txt().items()}


def test_own_announcement_is_understood() -> None:
    assert read_txt(GOOD, site_id=SITE, port=7463) == OWN


def test_who_does_not_wait_gives_no_reason() -> None:
    assert "why" not in replace(OWN, why="").txt()


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
    assert read_txt({**GOOD, **change}, site_id=SITE, port=7463) is None


def test_a_port_must_be_one() -> None:
    assert read_txt(GOOD, site_id=SITE, port=0) is None


@given(st.dictionaries(st.binary(max_size=20), st.none() | st.binary(max_size=300), max_size=20))
def test_rubbish_is_harmless(properties: dict[bytes, bytes | None]) -> None:
    assert read_txt(properties, site_id=SITE, port=7463) is None


@given(st.text())
def test_a_reason_is_printable_and_fits_the_record(why: str) -> None:
    said = replace(OWN, why=why).txt()
    assert sum(len(key) + len(value) for key, value in said.items()) <= MAX_TXT_BYTES
    assert all(len(f"{key}={value}") <= 255 for key, value in said.items())
    plain = shown(why)
    assert plain.isascii()
    assert len(plain) <= MAX_WHY
    assert plain == "" or plain.isprintable()


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
