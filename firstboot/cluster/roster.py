"""Who answered where: the members as mutual TLS proved them, folded from visits; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import IPv4Address

from firstboot.cluster.ballots import Shown
from firstboot.cluster.events import Visit, WaitFor
from firstboot.cluster.founder import COPY_HINT, LATER_HINT, named, short

MAX_ANSWERED = 8
NAMED, CAUSES = 8, 3
"""Of many missing slots as many are named, and of the causes: a reason is to be read."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A member that answered: its last view, and the addresses where TLS succeeded, the last one first."""

    view: Shown
    answered: tuple[str, ...]
    reachable: bool = True

    @property
    def address(self) -> str | None:
        """The IPv4 address to use: what the member states if it answered there, else where it answered last."""
        stated = self.view.address
        if stated is not None and stated in self.answered and is_ipv4(stated):
            return stated
        others = (address for address in self.answered if address != self.view.storage_address)
        return next((address for address in others if is_ipv4(address)), None)

    @property
    def storage_address(self) -> str | None:
        """The IPv4 address that the member states for storage, if it answered there."""
        stated = self.view.storage_address
        return stated if stated is not None and stated in self.answered and is_ipv4(stated) else None


@dataclass(frozen=True, slots=True)
class Rival:
    """A machine that answers for a slot which is another's; `round` is when it was last met."""

    slot: int
    address: str
    view: Shown
    round: int = 0


@dataclass(frozen=True, slots=True)
class Roster:
    """What one node knows of the others. `failures` says by slot why the last visit to it failed."""

    own_slot: int
    own_id: str
    own_run: str = ""
    round: int = 0
    contacts: Mapping[int, Contact] = field(default_factory=dict)
    incumbents: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """By slot: the node for which that member voted instead of us, and why that stays."""
    rivals: Mapping[str, Rival] = field(default_factory=dict)
    """By node id. Under this node's own id: a copy of this machine."""
    failures: Mapping[int, str] = field(default_factory=dict)

    @property
    def views(self) -> dict[int, Shown]:
        return {slot: contact.view for slot, contact in self.contacts.items()}


def begin_round(roster: Roster) -> Roster:
    """Forget rivals that were not met in the last round; those that are still there are met again."""
    if not roster.rivals:
        return roster
    rivals = {node: rival for node, rival in roster.rivals.items() if rival.round == roster.round}
    return replace(roster, round=roster.round + 1, rivals=rivals)


def fold(roster: Roster, claims: Mapping[int, str], visit: Visit) -> Roster:
    """Take a completed visit in. `claims` are this node's votes: they say who holds a slot."""
    view, slot, address = visit.view, visit.slot, visit.endpoint.address
    if view.node_id == roster.own_id:
        if view.run in (None, roster.own_run):
            return roster
        return _meet_rival(roster, visit)
    if slot == roster.own_slot or claims.get(slot, view.node_id) != view.node_id:
        return _meet_rival(roster, visit)
    known = roster.contacts.get(slot)
    before = known.answered if known is not None and known.view.node_id == view.node_id else ()
    answered = (address, *(other for other in before if other != address))
    if address in before and address in (before[0], view.address, view.storage_address):
        answered = before  # where it is visited in each round: no news
    incumbents, rivals, failures = roster.incumbents, roster.rivals, roster.failures
    contact = Contact(view, answered[:MAX_ANSWERED])
    if contact == known and visit.incumbent is None and slot not in incumbents and slot not in failures:
        return roster  # no news: rivals are never contacts
    if visit.incumbent is not None:
        incumbents = {**incumbents, slot: (visit.incumbent, visit.refusal)}
    elif slot in incumbents:
        incumbents = {other: held for other, held in incumbents.items() if other != slot}
    if view.node_id in rivals:
        rivals = {node: rival for node, rival in rivals.items() if node != view.node_id}
    if slot in failures:
        failures = {other: text for other, text in failures.items() if other != slot}
    return Roster(
        own_slot=roster.own_slot,
        own_id=roster.own_id,
        own_run=roster.own_run,
        round=roster.round,
        contacts={**roster.contacts, slot: contact},
        incumbents=incumbents,
        rivals=rivals,
        failures=failures,
    )


def fail(roster: Roster, slot: int, cause: str, address: str) -> Roster:
    """Take a failed visit in: the address is forgotten, the contact stays; what it last said of us is of no use."""
    contacts, incumbents = dict(roster.contacts), dict(roster.incumbents)
    known = contacts.get(slot)
    if known is not None and address in known.answered:
        contacts[slot] = _leave(known, address)
        if not contacts[slot].reachable:
            incumbents.pop(slot, None)
    failures = {**roster.failures, slot: cause}
    return replace(roster, contacts=contacts, incumbents=incumbents, failures=failures)


def settle(roster: Roster, claims: Mapping[int, str]) -> Roster:
    """Forget who answered for a slot before it was claimed by another node: the holder is to be looked for."""
    contacts = {
        slot: contact for slot, contact in roster.contacts.items() if claims.get(slot) in (None, contact.view.node_id)
    }
    return roster if len(contacts) == len(roster.contacts) else replace(roster, contacts=contacts)


def forget(roster: Roster, nodes: Collection[str]) -> Roster:
    """Forget where these nodes answered: they are members no more, and are not looked for."""
    contacts = {slot: contact for slot, contact in roster.contacts.items() if contact.view.node_id not in nodes}
    return roster if len(contacts) == len(roster.contacts) else replace(roster, contacts=contacts)


def obstacle(roster: Roster, names: Mapping[int, str], claims: Mapping[int, str]) -> WaitFor | None:
    """What keeps this node from being admitted by all these slots and knowing all; None when nothing does."""
    if roster.own_id in roster.rivals:
        return WaitFor(
            f"another machine, at {roster.rivals[roster.own_id].address}, runs as this very node "
            f"{short(roster.own_id)} of slot {roster.own_slot} ({names[roster.own_slot]})",
            COPY_HINT,
        )
    for slot, (incumbent, why) in sorted(roster.incumbents.items()):
        if slot not in names:
            continue
        if not incumbent:
            return WaitFor(f"{names[slot]} says: {why}", LATER_HINT)
        return WaitFor(
            f"{names[slot]} says that slot {roster.own_slot} ({names[roster.own_slot]}) is held by node "
            f"{short(incumbent)}{_place(roster, incumbent)}; this machine is node {short(roster.own_id)}"
            + (f"; {why}" if why else ""),
            "two machines have this slot's seed, or this one was wiped: turn one off, or give this one a free slot",
        )
    others = [slot for slot in sorted(names) if slot != roster.own_slot]
    missing = [slot for slot in others if slot not in roster.contacts]
    if missing:
        return _missing(roster, names, claims, missing)
    waiting = [slot for slot in others if slot not in claims]
    if waiting:
        return WaitFor(f"{named(waiting, names)} answered, but did not claim here yet")
    for slot in others:
        contact = roster.contacts[slot]
        if contact.address is None:
            stated = contact.view.address or "an unknown address"
            return WaitFor(
                f"slot {slot} ({names[slot]}) does not answer at its management address {stated}"
                + _claimants(roster, slot),
                f"check the network between this node and {stated}, TCP port 7463",
            )
        storage = contact.view.storage_address
        if storage is not None and contact.storage_address is None:
            return WaitFor(
                f"slot {slot} ({names[slot]}) does not answer at its storage address {storage}",
                f"check the storage network between this node and {storage}, TCP port 7463: cable, VLAN, switch",
            )
    return None


def reached(roster: Roster) -> dict[int, str]:
    """Where who answers does so, for others: addresses that mean the same on every machine."""
    found = (
        (slot, contact.address or contact.answered[0])
        for slot, contact in roster.contacts.items()
        if contact.reachable
    )
    return {slot: address for slot, address in found if "%" not in address}


@lru_cache(1024)
def is_ipv4(address: str) -> bool:
    try:
        IPv4Address(address)
    except ValueError:
        return False
    return True


def _meet_rival(roster: Roster, visit: Visit) -> Roster:
    """Another machine than the slot's holder answered: the holder is not at that address any more."""
    slot, address = visit.slot, visit.endpoint.address
    rivals = {**roster.rivals, visit.view.node_id: Rival(slot, address, visit.view, roster.round)}
    known = roster.contacts.get(slot)
    if known is None or address not in known.answered:
        return replace(roster, rivals=rivals)
    return replace(roster, rivals=rivals, contacts={**roster.contacts, slot: _leave(known, address)})


def _leave(contact: Contact, address: str) -> Contact:
    left = tuple(other for other in contact.answered if other != address)
    return replace(contact, answered=left, reachable=bool(left))


def _missing(roster: Roster, names: Mapping[int, str], claims: Mapping[int, str], missing: list[int]) -> WaitFor:
    verb = "have" if len(missing) > 1 else "has"
    named_all = named(missing[:NAMED], names)
    if len(missing) > NAMED:
        named_all += f" and {len(missing) - NAMED} more"
    causes = "; ".join([roster.failures[slot] for slot in missing if slot in roster.failures][:CAUSES])
    held = "".join(
        f"; slot {slot} is held by node {short(claims[slot])}{_claimants(roster, slot)}"
        for slot in missing
        if slot in claims and _claimants(roster, slot)
    )
    return WaitFor(
        f"{named_all} {verb} not appeared" + (f" ({causes})" if causes else "") + held,
        "start these machines with their seeds, on this network",
    )


def _claimants(roster: Roster, slot: int) -> str:
    """The machines that answer in the holder's place, for messages."""
    nodes = [short(node) for node, rival in sorted(roster.rivals.items()) if rival.slot == slot]
    return f", but node {nodes[0]} answers in its place" if nodes else ""


def _place(roster: Roster, node_id: str) -> str:
    return f" at {roster.rivals[node_id].address}" if node_id in roster.rivals else ""
