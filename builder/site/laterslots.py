"""Slots that are added to a site after it was founded: the next number, and an address where the plan gives those."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from pydantic import ValidationError

from builder.site.folder import Site, changing, save_plan
from firstboot.cluster.ballots import MAX_SLOTS
from firstboot.errors import BadInputError, RefusedError
from firstboot.plan import Plan, SlotPlan


@dataclass(frozen=True)
class Wish:
    """What an operator says of a later slot; addresses with prefix length. None: whatever fits."""

    name: str | None = None
    zone: str | None = None
    address: str | None = None
    storage_address: str | None = None


def add_slot(site: Site, wish: Wish) -> tuple[Site, SlotPlan]:
    """Add a slot to the site's plan; a later slot of that name that is there already is given back.

    Raises RefusedError when the name is taken or that slot is another than is wished for, BadInputError when an
    address can't be the slot's.
    """
    with changing(site) as current:
        known = next((slot for slot in current.plan.slots if slot.name == wish.name), None)
        if known is not None and known.later:
            _require_same(site, known, wish)
            return current, known
        if known is not None:
            raise RefusedError(
                f"slot {known.number} of site {site.name} is {known.name} already", hint="choose another name"
            )
        slot = next_slot(current.plan, wish)
        return save_plan(current, current.plan.model_copy(update={"slots": (*current.plan.slots, slot)})), slot


def _require_same(site: Site, known: SlotPlan, wish: Wish) -> None:
    """A slot is as it was added: seeds of it may be in use."""
    wished = (
        ("zone", wish.zone, known.zone),
        ("address", wish.address, known.address),
        ("storage address", wish.storage_address, known.storage_address),
    )
    for what, given, is_so in wished:
        if given is not None and given != str(is_so or ""):
            raise RefusedError(
                f"slot {known.number} ({known.name}) of site {site.name} is there already, with {what} "
                f"{is_so or 'none'}, not {given or 'none'}",
                hint="choose another name for another slot, or leave the option out",
            )


def next_slot(plan: Plan, wish: Wish) -> SlotPlan:
    """The slot after the last one, with the address after its, where those are static and none is given. Pure."""
    number = max(slot.number for slot in plan.slots) + 1
    if number > MAX_SLOTS:
        raise RefusedError(f"a site has at most {MAX_SLOTS} slots")
    storage = plan.network.storage
    static = (plan.network.method == "static", storage is not None and storage.method == "static")
    taken = {address.ip for slot in plan.slots for address in (slot.address, slot.storage_address) if address}
    taken |= {plan.network.gateway} if plan.network.gateway else set()
    last = plan.slots[-1]
    try:
        return SlotPlan(
            number=number,
            name=wish.name or f"node{number}",
            zone=wish.zone or "",
            address=_address("address", wish.address, last.address, taken, is_static=static[0]),
            storage_address=_address(
                "storage address", wish.storage_address, last.storage_address, taken, is_static=static[1]
            ),
            later=True,
        )
    except ValidationError:
        raise BadInputError(
            f"{wish.name!r} can't be a slot's name",
            hint="use small letters, digits and dashes, beginning with a letter, at most 31",
        ) from None


def _address(
    what: str, given: str | None, last: IPv4Interface | None, taken: set[IPv4Address], *, is_static: bool
) -> IPv4Interface | None:
    if not is_static or last is None:
        if given is not None:
            raise BadInputError(f"the site's plan gives no {what} to slots", hint="leave it out")
        return None
    try:
        address = (
            IPv4Interface(given) if given is not None else IPv4Interface(f"{last.ip + 1}/{last.network.prefixlen}")
        )
    except ValueError as error:
        raise BadInputError(f"{given} is no {what}: {error}", hint="such as 192.0.2.14/24") from error
    network = last.network
    if address.network != network or address.ip in (network.network_address, network.broadcast_address):
        raise BadInputError(f"{address} is no {what} in {network}", hint=f"name one that is free in {network}")
    if address.ip in taken:
        raise BadInputError(f"{address.ip} is taken", hint=f"name a free {what} in {network}")
    return address
