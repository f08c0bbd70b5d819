"""Which network cards are meant: from the plan's rules and the links to one card each, or to a bond's; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from firstboot.errors import TrivetError
from firstboot.network.facts import Link
from firstboot.plan import Bond, Interface

ANY = Interface()
HINT = "correct the profile or the seed's override, or plug the card in"
GLOB = frozenset("*?[")


class NoInterfaceError(TrivetError):
    """No card is what the plan or the seed says, or more than one is."""


@dataclass(frozen=True)
class Choice:
    """A card, what for (management, storage, a bond's or a bridge's name), and the rule that it was found by."""

    purpose: str
    card: Link
    rule: Interface


@dataclass(frozen=True)
class Members:
    """A bond's cards, and what its rules ask for besides."""

    cards: tuple[Choice, ...]
    lacking: tuple[str, ...]


def wired(links: Iterable[Link]) -> tuple[Link, ...]:
    """What rules choose from, in kernel order."""
    return tuple(link for link in links if link.wired)


def matches(rule: Interface, card: Link) -> bool:
    """Whether the card has everything that the rule gives."""
    globs = ((rule.name, card.name), (rule.driver, card.driver), (rule.pci, card.pci))
    if any(glob is not None and not fnmatchcase(text or "", glob) for glob, text in globs):
        return False
    return rule.mac in (None, card.hardware_mac)


def describe(rule: Interface) -> str:
    """The rule in words, such as `name eno*, driver ixgbe`."""
    given = (("name", rule.name), ("MAC", rule.mac), ("driver", rule.driver), ("PCI address", rule.pci))
    return ", ".join(f"{key} {value}" for key, value in given if value is not None)


def choose(rule: Interface, links: Sequence[Link], purpose: str, spoken_for: Iterable[str] = ()) -> Choice:
    """The card of a rule; raises NoInterfaceError unless it is one.

    The empty rule takes the first card in kernel order whose name is not `spoken_for` by another rule.
    """
    there = wired(links)
    taken = frozenset(spoken_for)
    found = [card for card in there if matches(rule, card) and not (rule == ANY and card.name in taken)]
    if not found:
        raise NoInterfaceError(
            f"{purpose}: no wired network interface{_that(rule)}; there is: {listed(there)}", hint=HINT
        )
    if len(found) > 1 and rule != ANY:
        raise NoInterfaceError(
            f"{purpose}: {len(found)} network interfaces have {describe(rule)}, and one is wanted: {listed(found)}",
            hint="narrow the rule in the profile, or name the card in the seed's override",
        )
    return Choice(purpose, found[0], rule)


def choose_members(bond: Bond, links: Sequence[Link]) -> Members:
    """The cards that the bond's rules match, in the order of the rules; raises NoInterfaceError for none."""
    there = wired(links)
    chosen: dict[str, Choice] = {}
    lacking = []
    for rule in bond.members:
        found = [card for card in there if matches(rule, card)]
        if not found:
            lacking.append(f"no wired network interface{_that(rule)}")
        for card in found:
            chosen.setdefault(card.name, Choice(bond.name, card, rule))
    if not chosen:
        raise NoInterfaceError(f"{bond.name}: {'; '.join(lacking)}; there is: {listed(there)}", hint=HINT)
    if bond.count is not None and len(chosen) > bond.count:
        cards = listed(choice.card for choice in chosen.values())
        raise NoInterfaceError(
            f"{bond.name}: {len(chosen)} network interfaces match its rules, and {bond.count} are wanted: {cards}",
            hint="narrow the rules in the profile, or name the cards in the seed's override",
        )
    if bond.count is not None and len(chosen) < bond.count and not lacking:
        lacking.append(f"{len(chosen)} of {bond.count} cards are there")
    return Members(tuple(chosen.values()), tuple(lacking))


def is_exact(rule: Interface) -> bool:
    """Whether the rule is one card's name: its file can be written before the card is there."""
    return rule.name is not None and not GLOB.intersection(rule.name) and rule == Interface(name=rule.name)


def listed(cards: Iterable[Link]) -> str:
    """The cards in words."""
    return ", ".join(f"{card.name} ({card.hardware_mac})" for card in cards) or "none"


def _that(rule: Interface) -> str:
    return f" with {describe(rule)}" if rule != ANY else ""
