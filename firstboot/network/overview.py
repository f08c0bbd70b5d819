"""What a node says of its network: which card carries what, chosen by which rule, and which cards are left; pure."""

from __future__ import annotations

from collections.abc import Sequence

from firstboot.network.cards import ANY, Choice, describe, listed, wired
from firstboot.network.facts import Link
from firstboot.network.topology import Bonded, Use
from firstboot.network.wanted import Wanted
from firstboot.status import CardStatus, NetworkStatus


def networks(wanted: Wanted, links: Sequence[Link]) -> tuple[NetworkStatus, ...]:
    """Each network of the plan that the machine can have."""
    by_name = {link.name: link for link in links}
    return tuple(
        NetworkStatus(
            name=use.name,
            link=use.link,
            address=wanted.address_of(use.name, links) if use.name in wanted.addressing else None,
            vlan=use.vlan,
            bond=use.parent if use.parent in _bonds(wanted) else None,
            cards=tuple(
                CardStatus(
                    name=choice.card.name,
                    mac=choice.card.hardware_mac,
                    carrier=choice.card.name in by_name and by_name[choice.card.name].carrier,
                    rule=rule_text(choice),
                )
                for choice in _cards(wanted, use)
            ),
        )
        for use in wanted.topology.uses
    )


def unused(wanted: Wanted, links: Sequence[Link]) -> tuple[str, ...]:
    """The wired cards that no network uses, in words."""
    used = {choice.card.name for choice in wanted.topology.choices}
    return tuple(listed([card]) for card in wired(links) if card.name not in used)


def summary(wanted: Wanted, links: Sequence[Link]) -> str:
    """One line for the log: each network with its address and cards, and the cards that are left."""
    parts = [_line(status) for status in networks(wanted, links)]
    left = unused(wanted, links)
    return "; ".join([*parts, *([f"unused: {', '.join(left)}"] if left else [])])


def rule_text(choice: Choice) -> str:
    """Why this card."""
    return describe(choice.rule) if choice.rule != ANY else "the first wired card that no rule names"


def _line(status: NetworkStatus) -> str:
    where = f"{status.address} on {status.link}" if status.address else status.link
    vlan = f" as VLAN {status.vlan}" if status.vlan is not None else ""
    cards = ", ".join(f"{card.name} ({card.mac}, by {card.rule})" for card in status.cards)
    over = f" over {status.bond}: {cards}" if status.bond else f" over {cards}" if cards else ", isolated"
    return f"{status.name} {where}{vlan}{over}"


def _cards(wanted: Wanted, use: Use) -> tuple[Choice, ...]:
    bonded = _bonds(wanted).get(use.parent or "")
    if bonded is not None:
        return bonded.members.cards
    return tuple(choice for choice in wanted.topology.choices if choice.card.name == use.parent)


def _bonds(wanted: Wanted) -> dict[str, Bonded]:
    return {bonded.name: bonded for bonded in wanted.topology.bonds}
