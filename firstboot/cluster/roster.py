"""Who answered where: the members as mutual TLS proved them, folded from visits; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from firstboot.cluster.client import Visit
from firstboot.cluster.founder import WaitFor, listed, short
from firstboot.cluster.views import View

MAX_ANSWERED = 8


@dataclass(frozen=True)
class Contact:
    """A member that answered: its last view, and the addresses where TLS succeeded, the last one first."""

    view: View
    answered: tuple[str, ...]
    reachable: bool = True

    @property
    def address(self) -> str | None:
        """The IPv4 address to use: what the member states if it answered there, else where it answered last."""
        usable = [address for address in self.answered if is_ipv4(address)]
        return self.view.address if self.view.address in usable else (usable[0] if usable else None)


@dataclass(frozen=True)
class Roster:
    """What one node knows of the others. `failures` says by slot why the last visit to it failed."""

    own_slot: int
    own_id: str
    contacts: Mapping[int, Contact] = field(default_factory=dict)
    incumbents: Mapping[int, str] = field(default_factory=dict)
    """By slot: the node for which that member voted instead of us."""
    rivals: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """By node id: slot and address of machines that answer for a slot that is another's."""
    failures: Mapping[int, str] = field(default_factory=dict)


def fold(roster: Roster, claims: Mapping[int, str], visit: Visit) -> Roster:
    """Take a completed visit in. `claims` are this node's votes: they say who holds a slot."""
    view, slot, address = visit.view, visit.slot, visit.endpoint.address
    if view.node_id == roster.own_id:
        return roster
    if claims.get(slot, view.node_id) != view.node_id:
        return replace(roster, rivals={**roster.rivals, view.node_id: (slot, address)})
    known = roster.contacts.get(slot)
    before = known.answered if known is not None and known.view.node_id == view.node_id else ()
    answered = (address, *(other for other in before if other != address))[:MAX_ANSWERED]
    incumbents = {other: node for other, node in roster.incumbents.items() if other != slot}
    if visit.incumbent is not None:
        incumbents[slot] = visit.incumbent
    return replace(
        roster,
        contacts={**roster.contacts, slot: Contact(view, answered)},
        incumbents=incumbents,
        rivals={node: place for node, place in roster.rivals.items() if node != view.node_id},
        failures={other: text for other, text in roster.failures.items() if other != slot},
    )


def fail(roster: Roster, slot: int, cause: str, address: str) -> Roster:
    """Take a failed visit in: the address is forgotten, the contact stays."""
    contacts = dict(roster.contacts)
    known = contacts.get(slot)
    if known is not None and address in known.answered:
        left = tuple(other for other in known.answered if other != address)
        contacts[slot] = replace(known, answered=left, reachable=bool(left))
    return replace(roster, contacts=contacts, failures={**roster.failures, slot: cause})


def obstacle(roster: Roster, names: Mapping[int, str], claims: Mapping[int, str]) -> WaitFor | None:
    """What keeps this node from being admitted by all and knowing all; None when nothing does."""
    for slot, incumbent in sorted(roster.incumbents.items()):
        return WaitFor(
            f"{names.get(slot, slot)} says that slot {roster.own_slot} ({names[roster.own_slot]}) is held by node "
            f"{short(incumbent)}{_place(roster, incumbent)}; this machine is node {short(roster.own_id)}",
            "two machines have this slot's seed, or this one was wiped: turn one off, or give this one a free slot",
        )
    others = [slot for slot in sorted(names) if slot != roster.own_slot]
    missing = [slot for slot in others if slot not in roster.contacts]
    if missing:
        verb = "have" if len(missing) > 1 else "has"
        causes = "; ".join(roster.failures[slot] for slot in missing if slot in roster.failures)
        return WaitFor(
            f"{listed(missing, names).rpartition(' ')[0]} {verb} not appeared" + (f" ({causes})" if causes else ""),
            "start these machines with their seeds, on this network",
        )
    waiting = [slot for slot in others if slot not in claims]
    if waiting:
        return WaitFor(f"{listed(waiting, names).rpartition(' ')[0]} answered, but did not claim here yet")
    for slot in others:
        contact = roster.contacts[slot]
        if contact.address is None:
            stated = contact.view.address or "an unknown address"
            return WaitFor(
                f"slot {slot} ({names[slot]}) does not answer at its management address {stated}",
                f"check the network between this node and {stated}, TCP port 7463",
            )
    return None


def is_ipv4(address: str) -> bool:
    try:
        IPv4Address(address)
    except ValueError:
        return False
    return True


def _place(roster: Roster, node_id: str) -> str:
    return f" at {roster.rivals[node_id][1]}" if node_id in roster.rivals else ""
