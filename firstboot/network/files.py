"""The form of systemd-networkd's files: sections of `Key=value` lines, and what our files are called."""

from __future__ import annotations

from collections.abc import Iterable

PREFIX = "10-trivet-"
HEADER = "# Written by trivet-firstboot from the plan; changes are lost.\n"

Lines = list[tuple[str, object]]


def file_text(sections: Iterable[tuple[str, Lines]]) -> str:
    """The file; sections without lines are left out, booleans are yes and no."""
    parts = [
        f"[{name}]\n" + "".join(f"{key}={_word(value)}\n" for key, value in lines)
        for name, lines in sections
        if lines
    ]
    return HEADER + "\n".join(parts)


def netdev_name(link: str) -> str:
    """The file that makes a bond, VLAN or bridge (systemd.netdev(5))."""
    return f"{PREFIX}{link}.netdev"


def network_name(link: str) -> str:
    """The file that says what a link carries (systemd.network(5))."""
    return f"{PREFIX}{link}.network"


def link_of(file: str) -> str:
    """The link that a file of ours is about."""
    return file.removeprefix(PREFIX).rpartition(".")[0]


def netdev(name: str, kind: str, mac: str, mtu: int, *more: tuple[str, Lines]) -> str:
    """A .netdev file. No MAC: one that networkd makes from machine-id and name."""
    lines: Lines = [("Name", name), ("Kind", kind)]
    lines += [("MACAddress", mac)] if mac else []
    return file_text([("NetDev", [*lines, ("MTUBytes", mtu)]), *more])


def _word(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
