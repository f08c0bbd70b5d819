"""The members as the phases use them: who holds which slot, under which name, and at which address now; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from firstboot.cluster import attempts, names
from firstboot.cluster.claims import Ballot
from firstboot.cluster.members import Members
from firstboot.cluster.roster import Contact
from firstboot.context import Context, Member
from firstboot.plan import Plan
from firstboot.state import KnownMember
from firstboot.status import PeerStatus


def founding_names(plan: Plan, own_slot: int) -> dict[int, str]:
    """The slots that a site is founded of, by name; this node's own one, too, if it came later."""
    return {slot.number: slot.name for slot in plan.slots if not slot.later or slot.number == own_slot}


def holders(
    members: Members | None, claims: Mapping[int, str], planned: Mapping[int, str]
) -> dict[int, tuple[str, str]]:
    """Node id and name by slot: the members once there are some, before that who claimed."""
    if members is None:
        return {slot: (node, planned[slot]) for slot, node in claims.items() if slot in planned}
    return {slot: (node, members.slots[slot].name) for node, slot in members.nodes.items()}


def locate(
    context: Context,
    held: Mapping[int, tuple[str, str]],
    contacts: Mapping[int, Contact],
    remembered: Mapping[int, KnownMember],
) -> dict[int, Member]:
    """Every slot's node, where it answers, or answered before this start, or was last known to."""
    members = {}
    for slot, (node_id, slot_name) in held.items():
        contact = contacts.get(slot)
        here: Context | Contact | None = contact if contact is not None and contact.view.node_id == node_id else None
        if slot == context.slot.number:
            here = context
        known = remembered.get(slot)
        before = known if known is not None and known.node_id == node_id else None
        address = (here.address if here else None) or (before.address if before else None)
        storage = (here.storage_address if here else None) or (before.storage_address if before else None)
        if address is not None:
            name = names.host_name(slot_name, context.claimed_seed.site.name)
            members[slot] = Member(slot, slot_name, node_id, address, name, storage)
    return members


def addresses(members: Iterable[Member | KnownMember]) -> set[str]:
    """Every address of these, in both networks."""
    return {a for member in members for a in (member.address, member.storage_address) if a is not None}


def known(member: Member) -> KnownMember:
    """What the journal keeps of a member."""
    return KnownMember(node_id=member.node_id, address=member.address, storage_address=member.storage_address)


def peer(
    slot: int, name: str, node_id: str | None, contact: Contact | None, found_by: tuple[str, ...] = ()
) -> PeerStatus:
    """A slot as mutual TLS sees it."""
    return PeerStatus(
        name=name,
        slot=slot,
        node_id=node_id,
        address=contact.address if contact else None,
        storage_address=contact.storage_address if contact else None,
        found_by=found_by,
        connected=contact is not None and contact.reachable,
    )


def asked(names: Mapping[int, str], ballot: Ballot, members: Members | None) -> Mapping[int, str]:
    """The slots whose machines count, with their names: the members', before that all but those left out."""
    if members is None:
        return attempts.rest(names, ballot.votes.attempt)
    return {slot: members.slots[slot].name for slot in members.nodes.values()}


def later_hint(context: Context) -> str:
    """What to do where a machine of a slot that was added waits; empty for others."""
    slot = context.slot
    return f"on a member, unless that was done: trivet-node slot add {slot.number} {slot.name}" if slot.later else ""
