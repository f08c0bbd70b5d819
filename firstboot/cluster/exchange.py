"""The visiting thread: goes round the members again and again, and tells the core who answered where."""

from __future__ import annotations

import logging
import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from firstboot.cluster import attempts
from firstboot.cluster.announcement import usable
from firstboot.cluster.claims import Ballot
from firstboot.cluster.client import Claimant, Hear, visit
from firstboot.cluster.events import Endpoint, Target, Visit
from firstboot.cluster.hints import Hints
from firstboot.cluster.session import UnreachableError
from firstboot.cluster.twins import Twins
from firstboot.cluster.views import View

log = logging.getLogger(__name__)

FORMING_S = 2.0
KEEPING_S = 10.0
MIN_PAUSE_S = 0.5
HURRIED_S = 0.1
"""The least pause while only the last votes are to be exchanged; what a round took is one, too."""
CALLERS = 2
TOLD = 2
"""Addresses of a missing slot that are taken from other members' views, those that most of them met it at."""
TOUR = 64
"""Members visited in a round after this node's addresses changed."""
WORKERS, SEARCHERS = 8, 32
"""Visits at a time, of who is expected to answer and of who may not be there."""
SEARCH_S = 2.0
"""Until then who is there took the connection, though the first packet was lost."""


class _Done(NamedTuple):
    """A visit of a round that ended; none where nobody answered. `told`: the core knows."""

    target: Target
    visit: Visit | None
    told: bool


class Exchange:
    """Runs the rounds. `updated` is called after each; `hear` and `twins` during it."""

    def __init__(
        self,
        ballot: Ballot,
        *,
        hints: Hints,
        peers: Callable[[], Sequence[Endpoint]],
        port: int,
        context: ssl.SSLContext,
        site_id: str,
        claimant: Claimant,
        updated: Callable[[], None],
        hear: Hear,
        twins: Twins,
    ) -> None:
        self._ballot = ballot
        self._own = ballot.identity.slot
        self._hints = hints
        self._peers = peers
        self._port = port
        self._context = context
        self._site_id = site_id
        self._claimant = claimant
        self._updated = updated
        self._hear = hear
        self._twins = twins
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._callers: dict[int, tuple[Endpoint, ...]] = {}
        self._moved: dict[int, Endpoint] = {}
        self._tour: set[int] = set()
        self.pause_s = FORMING_S
        """Between rounds; see `pace`."""

    @property
    def _slots(self) -> tuple[int, ...]:
        """The slots that this node knows of, and those whose holders visited it: a plan may be older than a slot."""
        return tuple(sorted(self._ballot.identity.names.keys() | self._callers.keys()))

    def start(self) -> None:
        threading.Thread(target=self._rounds, name="exchange", daemon=True).start()

    def wake(self, slot: int) -> None:
        """There is news of that slot: begin the next round soon, if it is missing."""
        contact = self._ballot.roster.contacts.get(slot)
        if slot in self._slots and slot != self._own and (contact is None or not contact.reachable):
            self._wake.set()

    def go(self) -> None:
        """There is news, such as another epoch: begin the next round soon."""
        self._wake.set()

    def claimed(self) -> None:
        """A slot was claimed here: begin the next round soon, if that was the last one that was missing."""
        if attempts.claimed(self._ballot.identity.names, self._ballot.votes):
            self._wake.set()

    def met(self, slot: int, address: str) -> None:
        """The holder of that slot's certificate visited from this address: the best of hints."""
        caller = Endpoint(address, self._port)
        known = tuple(other for other in self._callers.get(slot, ()) if other != caller)
        self._callers = {**self._callers, slot: (caller, *known)[:CALLERS]}  # another thread reads it meanwhile
        roster = self._ballot.roster
        contact = roster.contacts.get(slot)
        strange = contact is not None and address not in contact.answered
        if strange and slot != self._own and all(rival.address != address for rival in roster.rivals.values()):
            self._moved[slot] = caller
            self._wake.set()
        else:
            self.wake(slot)

    def move(self) -> None:
        """This node's addresses changed: show that to everybody now."""
        self._tour = {slot for slot in self._slots if slot != self._own}
        self._wake.set()

    @property
    def complete(self) -> bool:
        """Every other slot's holder answers at an address that can be used."""
        return all(self._answers(slot) for slot in self._slots if slot != self._own)

    def forget(self, slots: Collection[int]) -> None:
        """Nobody has these slots any more: where their nodes were is not looked any more."""
        self._hints.forget(slots)
        self._callers = {slot: callers for slot, callers in self._callers.items() if slot not in slots}

    def pace(self, pause_s: float) -> None:
        """Pause that long between rounds from now on."""
        self.pause_s = pause_s

    def close(self) -> None:
        self._stop.set()
        self._wake.set()

    def round(self) -> None:
        """Visit those whose turn it is once."""
        chance = random.Random()  # noqa: S311  (an order, not a secret)
        offers = {slot: self._hinted(slot) for slot in self._slots}
        goals = self._ballot.begin_round(offers, self._peers(), self._port, chance)
        done = self._visit_all(dict.fromkeys([*self._sudden(), *(goal for goal in goals if not goal.spare)]))
        spare = [goal for goal in goals if goal.spare and not self._answers(goal.slot)]
        done += self._visit_all(spare, SEARCHERS)
        self._compare(done)
        self._updated()

    def _sudden(self) -> list[Target]:
        """Visits that can't wait for their turn: of who came from a new address, and to all once this node moved."""
        moved, self._moved = self._moved, {}
        contacts = self._ballot.roster.contacts
        tour = [(slot, contacts[slot].address) for slot in sorted(self._tour) if slot in contacts][:TOUR]
        self._tour = self._tour.intersection(contacts).difference(slot for slot, _ in tour)
        sudden = [Target(slot, caller) for slot, caller in list(moved.items())]  # another thread may add to it still
        return sudden + [Target(slot, Endpoint(address, self._port)) for slot, address in tour if address]

    def _answers(self, slot: int | None) -> bool:
        """Whether that slot's holder does, at an address that can be used; None stands for all."""
        contact = self._ballot.roster.contacts.get(slot or 0)
        return self.complete if slot is None else contact is not None and contact.reachable and bool(contact.address)

    def _visit_all(self, goals: Collection[Target], workers: int = WORKERS) -> list[_Done]:
        """What came of each; what need not be compared with the others of the round, the core is told at once."""
        done = []
        with ThreadPoolExecutor(workers, thread_name_prefix="visit") as pool:
            for target, result in zip(goals, pool.map(self._visit, goals), strict=True):
                if isinstance(result, UnreachableError):
                    self._ballot.failed(target, result.message)
                    if target.slot is not None:
                        self._hints.failed(target.slot, target.endpoint)
                    done.append(_Done(target, None, told=True))
                    continue
                told = self._twins.believes(result)
                if told:
                    self._ballot.visited(result, target)
                done.append(_Done(target, result, told=told))
        return done

    def _compare(self, done: Sequence[_Done]) -> None:
        """Keep machines that run as one node apart, and tell the core of those that were held back."""
        believed = self._twins.sort([one.target.endpoint.address for one in done], [one.visit for one in done])
        for place, (target, result, told) in enumerate(done):
            if result is None or told:
                continue
            if place in believed:
                self._ballot.visited(result, target)
            else:
                at = result.endpoint
                self._ballot.failed(target, f"{at.address} port {at.port}: a copy of a machine answers there")

    def _rounds(self) -> None:
        least_s = HURRIED_S
        while not self._stop.is_set():
            self._wake.clear()
            began_s = time.monotonic()
            try:
                self.round()
            except Exception:  # one odd answer must not end the visits
                log.exception("a round of visits failed")
            if self._ballot.hurried or self._tour:
                self._stop.wait(min(max(HURRIED_S, time.monotonic() - began_s), self.pause_s))
                continue
            self._stop.wait(least_s)  # strangers can send news without end
            self._wake.wait(self.pause_s)
            least_s = min(2 * least_s, MIN_PAUSE_S)

    def _visit(self, target: Target) -> Visit | UnreachableError:
        limits = {} if target.slot is not None and self._answers(target.slot) else {"connect_s": SEARCH_S}
        try:
            return visit(
                target.endpoint,
                self._context,
                site_id=self._site_id,
                claimant=self._claimant,
                hear=self._hear,
                **limits,
            )
        except UnreachableError as error:
            log.debug("%s", error.message)
            return error

    def _hinted(self, slot: int) -> list[Endpoint]:
        """Where that slot may be: where it came from, where other members met it, what is said of it."""
        contacts = self._ballot.roster.contacts
        told: list[Endpoint] = []
        if slot != self._own and (slot not in contacts or not contacts[slot].reachable):
            views = [contact.view for contact in contacts.values()]
            known = Counter(view.reached[slot] for view in views if isinstance(view, View) and slot in view.reached)
            told = [Endpoint(address, self._port) for address, _ in known.most_common(TOLD) if usable(address)]
        return [*self._callers.get(slot, ()), *told, *self._hints.of_slot(slot)]
