"""Keeps this node's clock with the members': what their visits showed, when to set it, and who is refused for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from firstboot import clock, paths
from firstboot.cluster import skew
from firstboot.cluster.skew import FAR_S, MAX_SKEW_S, Clock, Source
from firstboot.cluster.views import View
from firstboot.errors import TrivetError
from firstboot.files import write_atomic
from firstboot.phases import Wait

log = logging.getLogger(__name__)

HTTP_DATE_S = 1.0
"""An HTTP date has full seconds only."""
MAX_AGE_S = 120.0
"""A reading that is older says nothing any more; members are visited every ten seconds at least."""
ASK_EVERY_S = 15.0
"""Between questions to chrony."""
AGAIN_S = 10.0
"""After the clock was set: a setting that does not take is not tried in every round."""
HINT = "trivet-node doctor there; name a time server in the profile (network.ntp), or set that machine's clock"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a clock showed, in epoch seconds, at a moment of this machine's monotonic clock."""

    shown_s: float
    at_s: float
    error_s: float


def reading(date: datetime | None, began_s: float, ended_s: float) -> Reading | None:
    """What the HTTP date of an answer says, asked and answered at these moments of the monotonic clock. Pure."""
    if date is None:
        return None
    error_s = (HTTP_DATE_S + max(ended_s - began_s, 0.0)) / 2
    return Reading(date.timestamp() + HTTP_DATE_S / 2, (began_s + ended_s) / 2, error_s)


@dataclass(frozen=True)
class State:
    """What was found last: whose clocks are off, and far off, by slot."""

    off: frozenset[int] = frozenset()
    far: frozenset[int] = frozenset()
    problems: tuple[str, ...] = ()


@dataclass
class Clocks:
    """The members' clocks for one run of the agent. `follows_server` asks chrony. Safe to call from any thread."""

    slot: int
    names: Mapping[int, str]
    asked: Callable[[], Collection[int]]
    """The slots that the site forms of; an operator may have left some out."""
    follows_server: Callable[[], bool]
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    move: Callable[[float], None] = clock.move
    agreed: Path = paths.CLOCK_AGREED
    _readings: dict[tuple[str, str], Reading] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _state: State = field(default_factory=State)
    _server: bool = False
    _asked_s: float | None = None
    _moved_s: float | None = None
    _trouble: str = ""

    @property
    def source(self) -> Source:
        """What this node's clock follows, as it was last asked."""
        if self._server:
            return Source.SERVER
        return Source.MEMBERS if self.agreed.exists() else Source.OWN

    @property
    def problems(self) -> tuple[str, ...]:
        return self._state.problems

    def hear(self, view: View, read: Reading | None) -> None:
        """A node's answer had this date. Kept by the key that TLS proved, as anybody can say its run, and by
        the run, as another machine with that key is another clock."""
        if read is None or view.run is None:
            return
        with self._lock:
            oldest_s = self.monotonic() - MAX_AGE_S
            self._readings = {whose: kept for whose, kept in self._readings.items() if kept.at_s >= oldest_s}
            self._readings[view.node_id, view.run] = read

    def step(self, views: Mapping[int, View], *, forming: bool, report: Callable[[str], None]) -> Wait | None:
        """Set this node's clock if it is the one that is off; why a site that forms can't go on, if it can't."""
        clock.raise_to_floor()
        self._ask_chrony()
        known = self._clocks(views)
        common = skew.reference(known, len(self.asked()))
        if common is None:
            self._state = State()
            return self._unknown(known) if forming else None
        own = next(each for each in known if each.slot == self.slot)
        by_s = skew.correction(own, common)
        if by_s is not None and self._may_move() and self._set(by_s, report):
            set_to = f"the clock was set {_direction(by_s)}, to the time of the members"
            return Wait(set_to) if forming else None
        self._judge(known, common)
        if abs(skew.deviation(own, common)) <= MAX_SKEW_S and not self.agreed.exists():
            write_atomic(self.agreed, "")
        return self._far(known, common) if forming else None

    def refusal(self, views: Mapping[int, View], slot: int) -> str:
        """Why nothing is to be issued to the node of this slot; empty when its clock and this node's are good."""
        known = self._clocks(views)
        if all(each.slot != slot for each in known):
            return f"the time of {self.names[slot]} is not known here yet"
        common = skew.reference(known, len(self.asked()))
        if common is None:
            return ""
        far = skew.over(FAR_S, known, common, self._state.far)
        off = [each for each in known if each.slot in far & {slot, self.slot}]
        return "; ".join(skew.sentence(self.names[each.slot], each, common, self.names) for each in off)

    def _clocks(self, views: Mapping[int, View]) -> list[Clock]:
        with self._lock:
            readings = dict(self._readings)
        now_s, here_s = self.monotonic(), self.wall()
        known, asked = [Clock(self.slot, self.source, 0.0)], self.asked()
        for slot, view in views.items():
            read = readings.get((view.node_id, view.run or ""))
            if slot != self.slot and slot in asked and read is not None and now_s - read.at_s <= MAX_AGE_S:
                known.append(Clock(slot, view.clock, read.shown_s + now_s - read.at_s - here_s, read.error_s))
        return known

    def _ask_chrony(self) -> None:
        now_s = self.monotonic()
        if self._asked_s is None or now_s - self._asked_s >= ASK_EVERY_S:
            self._server, self._asked_s = self.follows_server(), now_s

    def _may_move(self) -> bool:
        return self._moved_s is None or self.monotonic() - self._moved_s >= AGAIN_S

    def _set(self, by_s: float, report: Callable[[str], None]) -> bool:
        self._moved_s, self._trouble = self.monotonic(), ""
        report(f"setting the clock {_direction(by_s)}, to the time of the members")
        try:
            self.move(by_s)
        except TrivetError as error:
            log.error("the clock can't be set: %s", error.message)
            self._trouble = f"; setting it failed: {error.message.splitlines()[-1].strip()}"
            return False
        log.warning("the clock was set %s, to the time of the members", _direction(by_s))
        return True

    def _judge(self, known: list[Clock], common: Clock) -> None:
        off = skew.over(MAX_SKEW_S, known, common, self._state.off)
        far = skew.over(FAR_S, known, common, self._state.far)
        told = tuple(
            "clock: " + skew.sentence(self.names[each.slot], each, common, self.names)
            for each in sorted(known, key=lambda each: each.slot)
            if each.slot in off
        )
        self._state = State(off, far, told)

    def _unknown(self, known: list[Clock]) -> Wait:
        missing = sorted(set(self.asked()) - {each.slot for each in known})
        listed = ", ".join(self.names[slot] for slot in missing)
        return Wait(f"the time of {listed} is not known here yet")

    def _far(self, known: list[Clock], common: Clock) -> Wait | None:
        far = [each for each in known if each.slot in self._state.far]
        if not far:
            return None
        told = "; ".join(
            skew.sentence(self.names[each.slot], each, common, self.names)
            + (self._trouble if each.slot == self.slot else "")
            for each in far
        )
        return Wait(told, HINT)


def _direction(by_s: float) -> str:
    return f"{skew.span(by_s)} {'forward' if by_s > 0 else 'back'}"


def try_following(follows: Callable[[], bool]) -> bool:
    """Whether chrony follows a time server; it does not where it can't be asked."""
    try:
        return follows()
    except TrivetError as error:
        log.debug("%s", error.message)
        return False
