"""The visiting thread: goes round the members again and again, and tells the core who answered where."""

from __future__ import annotations

import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from firstboot.cluster.claims import Ballot
from firstboot.cluster.client import Claimant, Hear, visit
from firstboot.cluster.events import Endpoint, Target, Visit
from firstboot.cluster.hints import Hints
from firstboot.cluster.session import UnreachableError
from firstboot.cluster.twins import Twins

log = logging.getLogger(__name__)

FORMING_S = 2.0
KEEPING_S = 10.0
MIN_PAUSE_S = 0.5
HURRIED_S = 0.1
"""The least pause while only the last votes are to be exchanged; what a round took is one, too."""
CALLERS = 2
WORKERS = 8


class Exchange:
    """Runs the rounds. `updated` is called after each; `hear` and `twins` during it."""

    def __init__(
        self,
        ballot: Ballot,
        *,
        hints: Hints,
        peers: Sequence[Endpoint],
        port: int,
        context: ssl.SSLContext,
        site_id: str,
        claimant: Claimant,
        updated: Callable[[], None],
        hear: Hear,
        twins: Twins,
    ) -> None:
        self._ballot = ballot
        self._hints = hints
        self._peers = tuple(peers)
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
        self.pause_s = FORMING_S
        """Between rounds; the phase found raises it once everything is formed."""

    @property
    def _slots(self) -> tuple[int, ...]:
        """The slots that this node knows of, and those whose holders visited it: a plan may be older than a slot."""
        return tuple(sorted(self._ballot.identity.names.keys() | self._callers.keys()))

    def start(self) -> None:
        threading.Thread(target=self._rounds, name="exchange", daemon=True).start()

    def wake(self) -> None:
        """There is news: begin the next round soon, if anybody is missing."""
        contacts = self._ballot.roster.contacts
        others = [slot for slot in self._slots if slot != self._ballot.identity.slot]
        if not all(slot in contacts and contacts[slot].reachable for slot in others):
            self._wake.set()

    def go(self) -> None:
        """There is news, such as a slot claimed here, which may be the last that was missing: begin a round soon."""
        self._wake.set()

    def met(self, slot: int, address: str) -> None:
        """The holder of that slot's certificate visited from this address: the best of hints."""
        caller = Endpoint(address, self._port)
        known = tuple(other for other in self._callers.get(slot, ()) if other != caller)
        self._callers = {**self._callers, slot: (caller, *known)[:CALLERS]}  # another thread reads it meanwhile
        self.wake()

    def forget(self, nodes: Collection[str], slots: Collection[int]) -> None:
        """These nodes are members no more, and those slots nobody's: where they were is not looked any more."""
        self._hints.forget(nodes)
        self._callers = {slot: callers for slot, callers in self._callers.items() if slot not in slots}

    def pace(self, pause_s: float) -> None:
        """Pause that long between rounds from now on."""
        self.pause_s = pause_s

    def close(self) -> None:
        self._stop.set()
        self._wake.set()

    def round(self) -> None:
        """Visit everybody once."""
        chance = random.Random()  # noqa: S311  (an order, not a secret)
        offers = {slot: self._hinted(slot) for slot in self._slots}
        goals = self._ballot.begin_round(offers, self._peers, self._port, chance)
        visits: list[Visit | None] = []
        held: dict[int, Visit] = {}
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="visit") as pool:
            for place, (target, result) in enumerate(zip(goals, pool.map(self._visit, goals), strict=True)):
                visits.append(result if isinstance(result, Visit) else None)
                if isinstance(result, UnreachableError):
                    self._ballot.failed(target, result.message)
                elif self._twins.believes(result):
                    self._ballot.visited(result, target)
                else:
                    held[place] = result
        believed = self._twins.sort([goal.endpoint.address for goal in goals], visits)
        for place, result in held.items():
            if place in believed:
                self._ballot.visited(result, goals[place])
            else:
                at = result.endpoint
                self._ballot.failed(goals[place], f"{at.address} port {at.port}: a copy of a machine answers there")
        self._updated()

    def _rounds(self) -> None:
        least_s = HURRIED_S
        while not self._stop.is_set():
            self._wake.clear()
            began_s = time.monotonic()
            try:
                self.round()
            except Exception:  # one odd answer must not end the visits
                log.exception("a round of visits failed")
            if self._ballot.hurried:
                self._stop.wait(min(max(HURRIED_S, time.monotonic() - began_s), self.pause_s))
                continue
            self._stop.wait(least_s)  # strangers can send news without end
            self._wake.wait(self.pause_s)
            least_s = min(2 * least_s, MIN_PAUSE_S)

    def _visit(self, target: Target) -> Visit | UnreachableError:
        try:
            return visit(
                target.endpoint, self._context, site_id=self._site_id, claimant=self._claimant, hear=self._hear
            )
        except UnreachableError as error:
            log.debug("%s", error.message)
            return error

    def _hinted(self, slot: int) -> list[Endpoint]:
        hints = self._hints.of_slot(slot)
        return [*self._callers.get(slot, ()), *(Endpoint(a, hint.port) for hint in hints for a in hint.addresses)]
