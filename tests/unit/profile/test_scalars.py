"""Sizes, addresses and option values as people write them."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.profile.scalars import (
    UNITS,
    format_size,
    parse_address,
    parse_interface_address,
    parse_mac,
    parse_option,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("10GiB", 10 * 1024**3),
        ("10 GiB", 10 * 1024**3),
        ("1.5TB", 1_500_000_000_000),
        ("0.5KiB", 512),
        ("512B", 512),
        ("0GiB", 0),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["10", "10G", "10g", "ten GiB", "-1GiB", "1e3GiB", "10GiB x", "", 10, 1.5, None, True]
)
def test_no_sizes(text: object) -> None:
    with pytest.raises(ValueError, match=r"size|unit"):
        parse_size(text)


def test_sizes_beyond_any_disk() -> None:
    with pytest.raises(ValueError, match="larger than any disk"):
        parse_size("999999999TiB")


@given(st.integers(min_value=0, max_value=2**62))
def test_a_formatted_size_reads_back(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@given(st.integers(min_value=0, max_value=10**6), st.sampled_from(sorted(UNITS)))
def test_a_whole_number_of_units(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * UNITS[unit]


@given(st.text(max_size=40))
def test_any_text_is_a_size_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_size(text) >= 0


def test_interface_addresses() -> None:
    assert parse_interface_address("192.0.2.11/24") == IPv4Interface("192.0.2.11/24")
    for wrong in ("192.0.2.11", "192.0.2.11/33", "2001:db8::1/64", 3221225985, "x/24"):
        with pytest.raises(ValueError, match="192.0.2.11"):
            parse_interface_address(wrong)


def test_numbers_are_no_addresses() -> None:
    with pytest.raises(ValueError, match="not an IPv4 address"):
        parse_address(3221225985)


def test_mac_addresses_in_the_form_of_the_plan() -> None:
    assert parse_mac("52-54-00-AB-CD-EF") == "52:54:00:ab:cd:ef"


@pytest.mark.parametrize(
    ("value", "text"), [(30, "30"), (True, "on"), (False, "off"), ("64MB", "64MB"), (0.5, "0.5")]
)
def test_option_values_become_text(value: object, text: str) -> None:
    assert parse_option(value) == text
