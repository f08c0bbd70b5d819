"""How a person writes sizes, names and addresses in a profile, and what the plan makes of them."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError
from typing import Annotated

from pydantic import BeforeValidator, Field, Strict, StringConstraints

UNITS = {
    "B": 1,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
}
"""IEC units are powers of 1024, SI units powers of 1000, as disk makers count."""

SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)? ?(B|[KMGT]i?B)$"
NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$"
INTERFACE_PATTERN = r"^[A-Za-z0-9_.*?\[\]!-]{1,64}$"
PCI_PATTERN = r"^[0-9a-f:.*?\[\]!-]{1,64}$"
BRIDGE_PATTERN = r"^[a-z]([a-z0-9-]{0,13}[a-z0-9])?$"
MAC_PATTERN = r"^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$"
PACKAGE_PATTERN = r"^[a-z0-9][a-z0-9+.-]+$"
ELEMENT_PATTERN = r"^[a-z0-9][a-z0-9-]*$"
OPTION_PATTERN = r"^[a-z0-9]+([.-][a-z0-9_-]+)*$"
HOST_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?$"

PATTERN_WORDS = {
    NAME_PATTERN: "small letters, digits and dashes, from a letter to a letter or digit, at most 31 characters",
    INTERFACE_PATTERN: "an interface name or glob such as eno1 or ens*f0",
    PCI_PATTERN: "a PCI address or glob such as 0000:03:00.*",
    BRIDGE_PATTERN: "small letters, digits and dashes, from a letter on, at most 15 characters",
    MAC_PATTERN: "a MAC address such as 52:54:00:12:34:56",
    PACKAGE_PATTERN: "the name of a Debian package",
    ELEMENT_PATTERN: "the name of an element folder",
    OPTION_PATTERN: "the name of a Gluster option such as network.ping-timeout",
    HOST_PATTERN: "a host name, domain or IPv4 address",
}
"""What a pattern asks for, in words: error messages show this, never the pattern."""


def parse_size(text: object) -> int:
    """Bytes of "10GiB", "1.5 TB" and the like; raises ValueError."""
    if isinstance(text, bool) or not isinstance(text, str):
        raise ValueError("a size needs a unit, such as 10GiB (1024 based) or 10GB (1000 based)")
    if not (match := re.fullmatch(r"([0-9]{1,19}(?:\.[0-9]{1,6})?) ?([A-Za-z]+)", text.strip())):
        raise ValueError("not a size; write a number and a unit, such as 10GiB or 10GB")
    number, unit = match.groups()
    if unit not in UNITS:
        raise ValueError(f"unit {unit} is not known; units are {', '.join(UNITS)}")
    whole, _, part = number.partition(".")
    size = int(whole + part) * UNITS[unit] // int("1" + "0" * len(part))
    if size >= 2**63:
        raise ValueError("larger than any disk")
    return size


def format_size(size_bytes: int) -> str:
    """The shortest exact form in IEC units, such as 10GiB."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % UNITS[unit] == 0:
            return f"{size_bytes // UNITS[unit]}{unit}"
    return f"{size_bytes}B"


def parse_address(text: object) -> IPv4Address:
    """An IPv4 address; numbers are not taken for addresses."""
    if not isinstance(text, str):
        raise ValueError("not an IPv4 address, such as 192.0.2.1")
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise ValueError(f"{text!r} is not an IPv4 address, such as 192.0.2.1") from None


def parse_interface_address(text: object) -> IPv4Interface:
    """An IPv4 address with its prefix length, which is never guessed."""
    if not isinstance(text, str):
        raise ValueError("not an IPv4 address with prefix length, such as 192.0.2.11/24")
    if "/" not in text:
        raise ValueError(f"{text!r} lacks the prefix length: write it as 192.0.2.11/24")
    try:
        return IPv4Interface(text)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise ValueError(f"{text!r} is not an IPv4 address with prefix length, such as 192.0.2.11/24") from None


def parse_mac(text: object) -> object:
    """A MAC in the plan's form: small letters, colons."""
    return text.lower().replace("-", ":") if isinstance(text, str) and re.fullmatch(MAC_PATTERN, text) else text


def parse_option(value: object) -> object:
    """An option's value as text; YAML reads `30` and `true` as number and boolean."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, int | float) else value


def parse_list(value: object) -> object:
    """A single text where a list may stand."""
    return [value] if isinstance(value, str) else value


Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=Annotated[str, Field(pattern=SIZE_PATTERN)])]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Count = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Address = Annotated[IPv4Address, BeforeValidator(parse_address, json_schema_input_type=str)]
InterfaceAddress = Annotated[IPv4Interface, BeforeValidator(parse_interface_address, json_schema_input_type=str)]
Mac = Annotated[str, BeforeValidator(parse_mac, json_schema_input_type=str), StringConstraints(pattern=MAC_PATTERN)]
OptionValue = Annotated[
    str,
    BeforeValidator(parse_option, json_schema_input_type=str | int | float | bool),
    StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f-]"),
]
