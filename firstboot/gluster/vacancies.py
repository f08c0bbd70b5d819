"""The places in the pool that no member has any more: slots whose node was removed."""

from __future__ import annotations

from firstboot.cluster.members import Members
from firstboot.cluster.names import host_name
from firstboot.context import Context


def slots(context: Context) -> frozenset[int]:
    """Slots that have no member."""
    return open_slots(context.document)


def open_slots(members: Members | None) -> frozenset[int]:
    """The same of a document. Pure."""
    if members is None:
        return frozenset()
    return frozenset(slot for slot, record in members.slots.items() if record.node_id is None)


def host_names(context: Context) -> frozenset[str]:
    """The stable names of those, as glusterd knows them."""
    members, site = context.document, context.claimed_seed.site.name
    if members is None:
        return frozenset()
    return frozenset(host_name(members.slots[slot].name, site) for slot in slots(context))
