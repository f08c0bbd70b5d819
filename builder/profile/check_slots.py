"""Checks of slots: names, the machines that may fill them, zones."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import TypeVar

from builder.profile.compile import slot_name
from builder.profile.model import Profile
from builder.profile.problems import Place, Problem

RESERVED_NAMES = frozenset({"localhost", "localdomain", "trivet", "internal", "unclaimed"})

Item = TypeVar("Item", bound=Hashable)


def repeated(items: Iterable[tuple[Place, Item]]) -> Iterator[tuple[Place, Item, Place]]:
    """Every item that was there before: its place, itself, and the first one's place."""
    first: dict[Item, Place] = {}
    for place, item in items:
        if item in first:
            yield place, item, first[item]
        else:
            first[item] = place


def names(profile: Profile) -> Iterator[Problem]:
    """Slot names are host names: distinct, and not taken already. A slot without a name has its default one."""
    named: list[tuple[Place, str]] = [
        (("slots", index, "name"), slot_name(index + 1, slot)) for index, slot in enumerate(profile.slots)
    ]
    for place, name, first in repeated(named):
        yield Problem(place, f"name {name} is also the name of slot {int(first[1]) + 1}", "names are distinct")
    for place, name in named:
        if name in RESERVED_NAMES:
            yield Problem(place, f"{name} can't be a host name of this site", "choose another name")


def machines(profile: Profile) -> Iterator[Problem]:
    """A machine matches one slot only."""
    macs: list[tuple[Place, str]] = []
    serials: list[tuple[Place, str]] = []
    for index, slot in enumerate(profile.slots):
        place: Place = ("slots", index, "match")
        if slot.match.mac:
            macs.append(((*place, "mac"), slot.match.mac))
            yield from unusable_mac(slot.match.mac, (*place, "mac"))
        if slot.match.serial:
            serials.append(((*place, "serial"), slot.match.serial))
    for what, found in (("MAC address", macs), ("serial number", serials)):
        for at, value, first in repeated(found):
            yield Problem(at, f"{what} {value} is also that of slot {int(first[1]) + 1}", "a machine fills one slot")


def unusable_mac(mac: str, place: Place) -> Iterator[Problem]:
    """Group addresses (the lowest bit of the first byte) and the empty address belong to no interface."""
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        yield Problem(place, f"{mac} is no interface's address", "take it from: ip link")


def zones(profile: Profile) -> Iterator[Problem]:
    """Zones are given to all slots or to none."""
    without = [index for index, slot in enumerate(profile.slots) if slot.zone is None]
    if without and len(without) < len(profile.slots):
        for index in without:
            yield Problem(("slots", index), "has no zone, but others have", "give every slot a zone, or none")
