"""Whom to visit in a round: members by need, then those not visited for longest; hints for who is missing; pure.

A round is bounded, and so is what a node does in a minute, however many slots the site has. Who matters for the next
step comes first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from firstboot.cluster import attempts
from firstboot.cluster.ballots import Votes
from firstboot.cluster.events import Endpoint, Target
from firstboot.cluster.roster import Contact, Roster, is_ipv4
from firstboot.cluster.votes import wanted


@dataclass(frozen=True, slots=True)
class Pace:
    """What one round has of visits at most, and how long who was visited is left in peace, in seconds.

    A round visits `urgent` members as long as the next step depends on what they show, `usual` ones otherwise, and
    `least` of those whose turn it is in any case: who died must be noticed. A turn comes after `rest_s` for each
    slot: that is four visits a second, however many slots there are; at 300 each is visited within two minutes, well
    before it counts as silent, and before what its clock showed is too old. The lowest slot is everybody's aim: with
    `lead_rest_s` for each slot it serves 33 visits a second. For missing slots `searched` addresses are tried at
    once, and as many others where those do not answer.
    """

    usual: int = 16
    least: int = 4
    urgent: int = 64
    searched: int = 32
    rest_s: float = 0.25
    lead_rest_s: float = 0.03


MIN_REST_S = 1.0
TRIES_PER_SLOT = 6
"""At least: where few are missing, more."""
PEERS = 8


def targets(
    roster: Roster,
    votes: Votes,
    slots: Collection[int],
    pace: Pace,
    unseen_s: Callable[[int], float],
    hinted: Callable[[int], Sequence[Endpoint]],
    peers: Sequence[Endpoint],
    port: int,
    chance: random.Random,
) -> list[Target]:
    """Where to go in this round. `unseen_s` says for how long a slot's holder was not visited.

    The known address of who answers; else what hints, views and the seed offer, the best of each slot first.
    """
    met = {slot: contact for slot, contact in roster.contacts.items() if _answers(roster, slot, contact)}
    members = _members(roster, votes, met, pace, unseen_s, complete=attempts.claimed(slots, votes))
    chosen = [target for slot in members for target in _at(slot, met[slot], hinted(slot), port)]
    missing = [slot for slot in slots if slot not in met]
    chance.shuffle(missing)
    # Who answers in a holder's place is met again in each round: a slot changes hands when all are seen at once.
    rivals = [Target(r.slot, Endpoint(r.address, port)) for r in roster.rivals.values() if r.slot in missing]
    chosen += chance.sample(rivals, min(pace.urgent, len(rivals)))
    tries = max(TRIES_PER_SLOT, pace.searched // max(len(missing), 1))
    offers = {slot: _offers(roster, slot, hinted(slot), port)[:tries] for slot in missing}
    chosen += [Target(slot, found[0]) for slot, found in offers.items() if found][: pace.searched]
    others = [Target(slot, endpoint, spare=True) for slot, found in offers.items() for endpoint in found[1:]]
    chosen += chance.sample(others, min(pace.searched, len(others)))
    if any(slot != roster.own_slot for slot in missing):
        known = {target.endpoint.address for target in chosen}
        known.update(contact.address for contact in met.values() if contact.address)
        strange = [peer for peer in peers if peer.address not in known]
        chosen += [Target(None, peer, spare=True) for peer in chance.sample(strange, min(PEERS, len(strange)))]
    return chosen


def _answers(roster: Roster, slot: int, contact: Contact) -> bool:
    return slot != roster.own_slot and contact.reachable and contact.address is not None


def _members(
    roster: Roster,
    votes: Votes,
    met: dict[int, Contact],
    pace: Pace,
    unseen_s: Callable[[int], float],
    *,
    complete: bool,
) -> list[int]:
    """The members to visit, in order. Of those unseen equally long the one behind the own slot is first, so that not
    all nodes begin at the same."""
    size = max(met, default=0) + 1
    lead = min((roster.own_slot, *met))
    unseen = {slot: unseen_s(slot) for slot in met}
    order = sorted(met, key=lambda slot: (-unseen[slot], (slot - roster.own_slot) % size))
    urgent = [slot for slot in order if slot != lead and _matters(roster, votes, met, slot, lead, complete=complete)]
    first = [lead] if lead in met and unseen[lead] >= pace.lead_rest_s * len(met) else []
    first += urgent[: pace.urgent - len(first)]
    rest_s = max(MIN_REST_S, pace.rest_s * len(met))
    others = [slot for slot in order if slot not in first and slot != lead and unseen[slot] >= rest_s]
    return first + others[: max(pace.least, pace.usual - len(first))]


def _matters(roster: Roster, votes: Votes, met: dict[int, Contact], slot: int, lead: int, *, complete: bool) -> bool:
    """Whether the next step of this node depends on what that member shows now.

    It does not show our vote yet. Or a slot is to change hands, which all have to show. Or everybody's votes are
    needed, by the lead once all voted there, by the others once the lead is ready; and this member's are not as they
    shall be.
    """
    view, leads = met[slot].view, lead == roster.own_slot
    if view.claims.get(roster.own_slot) != roster.own_id:
        return True
    if votes.founder is not None:
        return False
    if votes.releases:
        return wanted(view) != wanted(votes)
    needed = complete if leads else met[lead].view.ready is not None
    if needed and (view.claims != votes.claims or view.releases or view.attempt != votes.attempt):
        return True
    return needed and leads and view.ready != votes.ready


def _at(slot: int, contact: Contact, hinted: Sequence[Endpoint], port: int) -> list[Target]:
    """Where that member is visited: at its management address, and at the one that it states for storage."""
    address, storage = contact.address, contact.view.storage_address
    assert address is not None, "who answers has an address"
    known = next((offer.port for offer in hinted if offer.address == address), port)
    storages = [storage] if storage is not None and is_ipv4(storage) else []
    return [Target(slot, Endpoint(address, known)), *(Target(slot, Endpoint(other, port)) for other in storages)]


def _offers(roster: Roster, slot: int, hinted: Sequence[Endpoint], port: int) -> list[Endpoint]:
    """Where that slot may be: the best first."""
    offers = list(hinted)
    contact = roster.contacts.get(slot)
    if contact is not None:
        known = (contact.view.address, contact.view.storage_address, *contact.answered)
        offers = [*(Endpoint(address, port) for address in known if address), *offers]
    return list(dict.fromkeys(offers))
