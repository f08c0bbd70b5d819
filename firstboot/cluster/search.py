"""How this node looks for the others and is found: mDNS and the ways without it, and what each of them gave."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from firstboot.cluster.announcement import Announcement
from firstboot.cluster.discovery import Discovery
from firstboot.cluster.events import Endpoint
from firstboot.cluster.exchange import Exchange
from firstboot.cluster.fallbacks import Fallbacks, endpoint
from firstboot.cluster.hints import Hints
from firstboot.context import Context
from firstboot.errors import TrivetError
from firstboot.network.facts import Link, link_with, networks_of, reachable_addresses, read_links
from firstboot.network.phase import current_addresses
from firstboot.status import NodeStatus, PhaseState

log = logging.getLogger(__name__)

FOLLOW_S = 1.0


class Search:
    """Announces from the first `follow` on; looks for others from `begin` on. `close` ends its threads."""

    def __init__(
        self,
        context: Context,
        *,
        remembered: Sequence[str],
        port: int,
        clock: Callable[[], float],
        status: Callable[[], NodeStatus],
    ) -> None:
        """`remembered` are addresses at which members answered in an earlier run."""
        seed = context.claimed_seed
        self._context = context
        self._status = status
        self._port = port
        self._slots = {slot.number for slot in seed.plan.slots}
        self._exchange: Exchange | None = None
        self._clock = clock
        self._followed_s: float | None = None
        self._addresses: tuple[str, ...] = ()
        self._link: Link | None = None
        self._told: tuple[str | None, str | None] | None = None
        """The addresses that were shown to the others last."""
        self._remembered = [endpoint(address, port) for address in remembered]
        self.hints = Hints(self._slots, clock, random.Random())  # noqa: S311  (an order, not a secret)
        self._fallbacks = Fallbacks(
            seed.overrides.peers,
            port=port,
            link=lambda: self._link.name if self._link is not None else None,
            needed=lambda: not self._complete(),
            found=self._wake_all,
        )
        self._discovery = Discovery(
            self.hints,
            slots=len(self._slots),
            describe=self._describe,
            complete=self._complete,
            found=self._wake,
        )

    def begin(self, exchange: Exchange) -> None:
        """From now on there are visits that need to know where to go."""
        self._exchange = exchange
        self._fallbacks.start()

    def know(self, slots: Collection[int]) -> None:
        """Look for these slots, too: a plan may be older than they are."""
        self._slots.update(slots)

    def close(self) -> None:
        self._fallbacks.close()
        self._discovery.close()

    def follow(self) -> tuple[str, ...]:
        """Be announced on the addresses that this node has now, whatever phase waits; those, or none.

        Addresses are looked at once a second at most: rounds may be shorter.
        """
        context, now_s = self._context, self._clock()
        if self._followed_s is not None and now_s - self._followed_s < FOLLOW_S:
            return self._addresses
        self._followed_s = now_s
        with suppress(TrivetError):  # the card may be gone
            address, storage_address = current_addresses(context)
            if address is not None and address != context.address:
                log.info("this node's address is %s now, not %s", address, context.address)
                context.address = address
            if storage_address is not None and storage_address != context.storage_address:
                log.info("this node's storage address is %s now, not %s", storage_address, context.storage_address)
                context.storage_address = storage_address
        links = read_links()
        self._link = link_with(links, context.address)
        self._addresses = reachable_addresses(links, context.address)
        if self._link is None or not self._addresses:
            return ()
        self._discovery.follow(self._addresses, networks_of(self._link))
        told, self._told = self._told, (context.address, context.storage_address)
        if self._exchange is not None and told not in (None, self._told):
            self._exchange.move()
        return self._addresses

    def peers(self) -> list[Endpoint]:
        """Where members may be, other than by mDNS."""
        return [*self._fallbacks.endpoints(), *self._remembered]

    def found_by(self, slot: int, address: str) -> tuple[str, ...]:
        """The ways that gave this address; members tell what none of them did."""
        given = [way.name for way in self._fallbacks.ways if any(e.address == address for e in way.endpoints)]
        heard = any(endpoint.address == address for endpoint in self.hints.of_slot(slot))
        return (*(("multicast",) if heard else ()), *given) or ("members",)

    def said(self) -> str:
        """The ways in use and what each gave, for whoever waits."""
        others = self._slots - {self._context.slot.number}
        heard = len(others & self.hints.slots())
        multicast = self._discovery.trouble or f"heard {heard} of {len(others)}"
        return "; ".join([f"multicast: {multicast}", *map(str, self._fallbacks.ways)])

    def _describe(self) -> Announcement:
        context, status = self._context, self._status()
        assert context.node_id is not None, "identity comes first"
        waits = status.state in (PhaseState.WAITING, PhaseState.FAILED)
        return Announcement(
            site_id=context.claimed_seed.site.id,
            slot=context.slot.number,
            node_id=context.node_id,
            phase=status.phase,
            port=self._port,
            why=status.reason if waits else "",
        )

    def _complete(self) -> bool:
        return self._exchange is not None and self._exchange.complete

    def _wake(self, slot: int) -> None:
        if self._exchange is not None:
            self._exchange.wake(slot)

    def _wake_all(self) -> None:
        for slot in tuple(self._slots):
            self._wake(slot)
