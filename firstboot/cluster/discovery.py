"""Announces this node by mDNS as it is and moves, asks who else is there, and turns what is heard into hints."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from firstboot.cluster.announcement import Announcement, Heard, usable
from firstboot.cluster.events import Endpoint
from firstboot.cluster.hints import Hints
from firstboot.cluster.mdns import Mdns
from firstboot.errors import TrivetError

log = logging.getLogger(__name__)

TICK_S = 0.5
FIRST_QUESTION_S, LAST_QUESTION_S = 1.0, 60.0
"""Between two questions; doubled after each while somebody is missing."""
WORDS_GAP_S, WORDS_GAP_S_PER_SLOT = 2.0, 0.1
"""Between two announcements of other words only: 30 packets a second on the whole network, whatever its size."""
MAX_HEARD = 4096
QUESTIONS_S = (0.0, 1.0, 3.0)

Network = IPv4Network | IPv6Network


class Discovery:
    """Runs from the first `follow` to `close`. `found` is called on news of a slot."""

    def __init__(
        self,
        hints: Hints,
        *,
        slots: int,
        describe: Callable[[], Announcement],
        complete: Callable[[], bool],
        found: Callable[[int], None],
    ) -> None:
        """`describe` says what to announce, `complete` that nobody is missing: then nothing is asked."""
        self._hints = hints
        self._words_gap_s = max(WORDS_GAP_S, WORDS_GAP_S_PER_SLOT * slots)
        self._describe = describe
        self._complete = complete
        self._found = found
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._mdns: Mdns | None = None
        self._addresses: tuple[str, ...] = ()
        self._networks: tuple[Network, ...] = ()
        self._own: Announcement | None = None
        self._said_s = self._ask_s = 0.0
        self._interval_s = FIRST_QUESTION_S
        self._refused = 0
        self.trouble = ""
        """Why multicast can't be used, if it can't."""

    def follow(self, addresses: Sequence[str], networks: Sequence[Network]) -> None:
        """Be on these addresses of the node (without scope), in these networks; anew only when they changed."""
        with self._lock:
            self._networks = tuple(networks)
            if tuple(addresses) != self._addresses or self._mdns is None:
                self._end()
                self._addresses = tuple(addresses)
                self._begin()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="discovery", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Say goodbye and stop."""
        self._stop.set()
        with self._lock:
            self._end()

    def _begin(self) -> None:
        own = self._describe()
        try:
            self._own = own
            self._mdns = Mdns(self._addresses, own.site_id, self._hear)
            self._mdns.announce(own)
            self.trouble = ""
        except TrivetError as error:
            self._end()
            if error.message != self.trouble:
                log.warning("%s; it is tried again", error.message)
            self.trouble = error.message
        self._said_s = self._ask_s = time.monotonic()
        self._interval_s = FIRST_QUESTION_S

    def _end(self) -> None:
        mdns, self._mdns, self._refused = self._mdns, None, 0
        if mdns is not None:
            mdns.close()

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                with self._lock:
                    if self._mdns is not None:
                        self._tick(self._mdns, time.monotonic())
            except TrivetError as error:
                log.warning("%s", error.message)

    def _tick(self, mdns: Mdns, now_s: float) -> None:
        if self._complete():
            self._ask_s, self._interval_s = now_s, FIRST_QUESTION_S
        elif now_s >= self._ask_s:
            self._ask_s, self._interval_s = now_s + self._interval_s, min(2 * self._interval_s, LAST_QUESTION_S)
            mdns.ask()
        if now_s - self._said_s >= self._words_gap_s:
            own = self._describe()
            if own != self._own:
                self._said_s = now_s
                mdns.announce(own)
                self._own = own
            refused, self._refused = mdns.budget.refused - self._refused, mdns.budget.refused
            if refused:
                log.warning("mDNS is flooded: %d announcements of this site were not read", refused)

    def _hear(self, heard: Heard) -> None:
        """In zeroconf's thread."""
        said, own = heard.announcement, self._own
        if own is None or said.node_id == own.node_id or said.port != own.port:
            return
        here = [address for address in heard.addresses if usable(address) and self._is_near(address)]
        if self._hints.add(said.slot, [Endpoint(address, said.port) for address in here]):
            log.debug("hint: slot %d at %s", said.slot, ", ".join(here))
            self._found(said.slot)

    def _is_near(self, address: str) -> bool:
        """mDNS speaks of this link: so there are no more places to look than the link's networks have."""
        parsed = ip_address(address.partition("%")[0])
        if parsed.version == 6 and parsed.is_link_local:
            return True
        return any(parsed in network for network in self._networks)


def listen(
    addresses: Sequence[str] | None,
    *,
    site_id: str,
    seconds: float,
    enough: Callable[[Collection[Heard]], bool] = lambda _: False,
) -> tuple[Heard, ...]:
    """Ask, and collect what nodes of the site say, until that is `enough` or time is over; announces nothing.

    Of one node what it said last, with all addresses that it said. Raises TrivetError where multicast can't be used
    on these addresses of the machine (without scope; None: on any interface).
    """
    heard: dict[str, Heard] = {}
    done = threading.Event()

    def take(one: Heard) -> None:
        node = one.announcement.node_id
        before = heard[node].addresses if node in heard else ()
        if node in heard or len(heard) < MAX_HEARD:
            heard[node] = Heard(one.announcement, tuple(dict.fromkeys((*one.addresses, *before)))[:MAX_HEARD])
        if enough(tuple(heard.values())):
            done.set()

    mdns = Mdns(addresses, site_id, take)
    try:
        began_s = time.monotonic()
        for at_s in QUESTIONS_S:
            if done.wait(max(min(began_s + at_s, began_s + seconds) - time.monotonic(), 0.0)):
                break
            mdns.ask()
        done.wait(max(began_s + seconds - time.monotonic(), 0.0))
    finally:
        mdns.close()
    return tuple(heard.values())
