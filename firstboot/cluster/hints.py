"""Hints of where members may be: bounded, forgetful, never trusted. What mDNS says ends here."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from firstboot.cluster.events import Endpoint

MAX_HINTS = 4096
MAX_PER_SLOT = 256
"""Of each IP version: all addresses of a /24 network."""
MAX_AGE_S = 3600.0


@dataclass
class _Place:
    """When somebody said last that a slot is there, and when it was looked for there in vain, if it was."""

    seen_s: float
    tried_s: float | None = None


class Hints:
    """Addresses by slot, whoever said so and however often: a flood can't make more of them than there are.

    A slot with too many of an IP version loses one that was tried in vain, else any.
    """

    def __init__(self, slots: Collection[int], clock: Callable[[], float], chance: random.Random) -> None:
        self._slots = slots
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._places: dict[int, dict[Endpoint, _Place]] = {}

    def add(self, slot: int, endpoints: Sequence[Endpoint]) -> bool:
        """Remember where that slot is said to be; True when it is news."""
        if slot not in self._slots:
            return False
        now_s, news = self._clock(), False
        with self._lock:
            places = self._fresh(slot, now_s)
            for endpoint in endpoints:
                known = places.get(endpoint)
                if known is not None:
                    known.seen_s = now_s
                    continue
                news = True
                places[endpoint] = _Place(now_s)
                self._make_room(slot, _is_ipv6(endpoint))
        return news

    def forget(self, slots: Collection[int]) -> None:
        """Forget what is said of these slots, until it is said again."""
        with self._lock:
            for slot in slots:
                self._places.pop(slot, None)

    def of_slot(self, slot: int) -> list[Endpoint]:
        """Where to look for that slot: by chance where nobody looked yet, then where it is longest ago.

        IPv4 and IPv6 take turns, so that many of one do not hide the other.
        """
        with self._lock:
            places = [*self._fresh(slot, self._clock()).items()]
        self._chance.shuffle(places)
        places.sort(key=lambda item: float("-inf") if item[1].tried_s is None else item[1].tried_s)
        ordered = [endpoint for endpoint, _ in places]
        both = zip_longest(_of_version(ordered, False), _of_version(ordered, True))
        return [endpoint for endpoint in chain(*both) if endpoint is not None]

    def failed(self, slot: int, endpoint: Endpoint) -> None:
        """That slot was looked for there in vain."""
        with self._lock:
            place = self._places.get(slot, {}).get(endpoint)
            if place is not None:
                place.tried_s = self._clock()

    def slots(self) -> set[int]:
        """The slots of which anything is said."""
        with self._lock:
            return {slot for slot, places in self._places.items() if places}

    def __len__(self) -> int:
        return sum(len(places) for places in self._places.values())

    def _fresh(self, slot: int, now_s: float) -> dict[Endpoint, _Place]:
        places = self._places.setdefault(slot, {})
        for endpoint in [endpoint for endpoint, place in places.items() if now_s - place.seen_s >= MAX_AGE_S]:
            del places[endpoint]
        return places

    def _make_room(self, slot: int, ipv6: bool) -> None:
        places = _of_version(self._places[slot], ipv6)
        if len(places) > MAX_PER_SLOT:
            self._lose_one(slot, places)
        elif len(self) > MAX_HINTS:
            slot = max(self._places, key=lambda other: len(self._places[other]))
            both = [_of_version(self._places[slot], version) for version in (False, True)]
            self._lose_one(slot, max(both, key=len))

    def _lose_one(self, slot: int, many: list[Endpoint]) -> None:
        places = self._places[slot]
        tried = [endpoint for endpoint in many if places[endpoint].tried_s is not None]
        del places[self._chance.choice(tried or many)]


def _of_version(places: Iterable[Endpoint], ipv6: bool) -> list[Endpoint]:
    return [endpoint for endpoint in places if _is_ipv6(endpoint) is ipv6]


def _is_ipv6(endpoint: Endpoint) -> bool:
    return ":" in endpoint.address
