"""Hints of where members may be: bounded, forgetful, never trusted. What mDNS says ends here."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

MAX_HINTS = 512
MAX_PER_SLOT = 16
MAX_ADDRESSES = 6
MAX_TXT_BYTES = 512
MAX_AGE_S = 3600.0
TXT_MAJOR = "1"

HEX_ID = re.compile(r"[0-9a-f]{32}")
SLOT = re.compile(r"[1-9][0-9]{0,2}")
WORD = re.compile(r"[a-z-]{1,32}")


@dataclass(frozen=True)
class Hint:
    """What somebody on the network says of a node; addresses may carry a %scope."""

    node_id: str
    slot: int
    phase: str
    addresses: tuple[str, ...]
    port: int
    seen_s: float


def read_txt(properties: Mapping[bytes, bytes | None], *, site_id: str) -> tuple[str, int, str] | None:
    """Node id, slot and phase of an announcement of this site; None for anything else."""
    if sum(len(key) + len(value or b"") for key, value in properties.items()) > MAX_TXT_BYTES:
        return None
    text = {key: (properties.get(key.encode()) or b"").decode("ascii", "replace") for key in TXT_KEYS}
    if text["v"] != TXT_MAJOR or text["site"] != site_id:
        return None
    if not HEX_ID.fullmatch(text["node"]) or not SLOT.fullmatch(text["slot"]) or not WORD.fullmatch(text["phase"]):
        return None
    return text["node"], int(text["slot"]), text["phase"]


TXT_KEYS = ("v", "site", "slot", "node", "phase")


class Hints:
    """A bounded store by node id. When it is full, the slot with the most hints loses its oldest one."""

    def __init__(self, slots: frozenset[int], clock: Callable[[], float]) -> None:
        self._slots = slots
        self._clock = clock
        self._lock = threading.Lock()
        self._hints: dict[str, Hint] = {}

    def add(self, node_id: str, slot: int, phase: str, addresses: tuple[str, ...], port: int) -> bool:
        """Remember a hint; True when it is news."""
        if slot not in self._slots or not addresses or not 0 < port < 65536:
            return False
        now = self._clock()
        hint = Hint(node_id, slot, phase, addresses[:MAX_ADDRESSES], port, now)
        with self._lock:
            self._hints = {key: known for key, known in self._hints.items() if now - known.seen_s < MAX_AGE_S}
            before = self._hints.get(node_id)
            self._hints[node_id] = hint
            self._make_room(slot)
        return before is None or (before.slot, before.addresses, before.port) != (slot, hint.addresses, port)

    def forget(self, nodes: Collection[str]) -> None:
        """Forget what is said of these nodes, until it is said again."""
        with self._lock:
            self._hints = {key: known for key, known in self._hints.items() if key not in nodes}

    def of_slot(self, slot: int) -> list[Hint]:
        """The hints of one slot, newest first."""
        with self._lock:
            return sorted((h for h in self._hints.values() if h.slot == slot), key=lambda h: -h.seen_s)

    def __len__(self) -> int:
        return len(self._hints)

    def _make_room(self, slot: int) -> None:
        count = Counter(hint.slot for hint in self._hints.values())
        if count[slot] > MAX_PER_SLOT:
            self._lose_oldest(slot)
        elif len(self._hints) > MAX_HINTS:
            self._lose_oldest(count.most_common(1)[0][0])

    def _lose_oldest(self, slot: int) -> None:
        oldest = min((hint for hint in self._hints.values() if hint.slot == slot), key=lambda hint: hint.seen_s)
        del self._hints[oldest.node_id]
