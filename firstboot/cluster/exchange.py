"""The visiting thread: goes round the members again and again, and keeps the roster of who answered where."""

from __future__ import annotations

import logging
import random
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from firstboot.cluster.client import Claimant, Endpoint, UnreachableError, Visit, visit
from firstboot.cluster.hints import Hints
from firstboot.cluster.roster import Contact, Roster, fail, fold

log = logging.getLogger(__name__)

FORMING_S = 2.0
KEEPING_S = 10.0
MIN_PAUSE_S = 0.5
CALLERS = 2
WORKERS = 8
TRIES_PER_SLOT = 6


@dataclass(frozen=True)
class Target:
    """An address to visit; `slot` is the one expected there, none where only an address is known."""

    slot: int | None
    endpoint: Endpoint


def targets(
    roster: Roster,
    slots: Sequence[int],
    hinted: Callable[[int], list[Endpoint]],
    peers: Sequence[Endpoint],
    port: int,
    chance: random.Random,
) -> list[Target]:
    """Where to go in this round: the known address of who answers, else what hints, views and the seed offer."""
    chosen: list[Target] = []
    incomplete = False
    for slot in slots:
        contact = roster.contacts.get(slot)
        if slot != roster.own_slot and contact is not None and contact.reachable and contact.address is not None:
            chosen.append(Target(slot, Endpoint(contact.address, _port(hinted(slot), contact.address, port))))
            continue
        incomplete = incomplete or slot != roster.own_slot
        offers = hinted(slot)
        if contact is not None:
            offers = [*_stated(contact, port), *(Endpoint(address, port) for address in contact.answered), *offers]
        unique = list(dict.fromkeys(offers))
        head, tail = unique[:2], unique[2:]
        chance.shuffle(tail)  # a flood of false hints must not hide the true one for ever
        chosen += [Target(slot, endpoint) for endpoint in (head + tail)[:TRIES_PER_SLOT]]
    if incomplete:
        known = {target.endpoint.address for target in chosen}
        chosen += [Target(None, peer) for peer in peers if peer.address not in known]
    return chosen


def _stated(contact: Contact, port: int) -> list[Endpoint]:
    return [Endpoint(contact.view.address, port)] if contact.view.address else []


def _port(offers: Sequence[Endpoint], address: str, default: int) -> int:
    return next((offer.port for offer in offers if offer.address == address), default)


class Exchange:
    """Runs the rounds. `claims` gives this node's votes, `updated` is called with the roster after each round."""

    def __init__(
        self,
        roster: Roster,
        *,
        slots: Sequence[int],
        hints: Hints,
        peers: Sequence[Endpoint],
        port: int,
        context: ssl.SSLContext,
        site_id: str,
        claimant: Claimant,
        claims: Callable[[], Mapping[int, str]],
        updated: Callable[[Roster], None],
    ) -> None:
        self.roster = roster
        self._slots = tuple(slots)
        self._hints = hints
        self._peers = tuple(peers)
        self._port = port
        self._context = context
        self._site_id = site_id
        self._claimant = claimant
        self._claims = claims
        self._updated = updated
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._callers: dict[int, tuple[Endpoint, ...]] = {}
        self.pause_s = FORMING_S
        """Between rounds; the phase found raises it once everything is formed."""

    def start(self) -> None:
        threading.Thread(target=self._rounds, name="exchange", daemon=True).start()

    def wake(self) -> None:
        """There is news: begin the next round soon, if anybody is missing."""
        contacts = self.roster.contacts
        others = [slot for slot in self._slots if slot != self.roster.own_slot]
        if not all(slot in contacts and contacts[slot].reachable for slot in others):
            self._wake.set()

    def met(self, slot: int, address: str) -> None:
        """The holder of that slot's certificate visited from this address: the best of hints."""
        if slot in self._slots:
            caller = Endpoint(address, self._port)
            known = tuple(other for other in self._callers.get(slot, ()) if other != caller)
            self._callers[slot] = (caller, *known)[:CALLERS]
            self.wake()

    def close(self) -> None:
        self._stop.set()
        self._wake.set()

    def round(self) -> None:
        """Visit everybody once."""
        chance = random.Random()  # noqa: S311  (an order, not a secret)
        goals = targets(self.roster, self._slots, self._hinted, self._peers, self._port, chance)
        self.roster = replace(self.roster, rivals={})  # those that are still there are met again
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="visit") as pool:
            for target, result in zip(goals, pool.map(self._visit, goals), strict=True):
                if isinstance(result, Visit):
                    self.roster = fold(self.roster, self._claims(), result)
                elif target.slot is not None and target.slot != self.roster.own_slot:
                    self.roster = fail(self.roster, target.slot, result.message, target.endpoint.address)
        self._updated(self.roster)

    def _rounds(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.round()
            except Exception:  # one odd answer must not end the visits
                log.exception("a round of visits failed")
            self._stop.wait(MIN_PAUSE_S)  # strangers can send news without end
            self._wake.wait(self.pause_s)

    def _visit(self, target: Target) -> Visit | UnreachableError:
        try:
            return visit(target.endpoint, self._context, site_id=self._site_id, claimant=self._claimant)
        except UnreachableError as error:
            log.debug("%s", error.message)
            return error

    def _hinted(self, slot: int) -> list[Endpoint]:
        hints = self._hints.of_slot(slot)
        return [*self._callers.get(slot, ()), *(Endpoint(a, hint.port) for hint in hints for a in hint.addresses)]
