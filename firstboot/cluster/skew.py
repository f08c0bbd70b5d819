"""Whose clock is off, and which time is the common one: pure, over what authenticated members' clocks show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_SKEW_S = 5.0
"""More than this, after the error of the measurement, is named, and corrected where this node may."""
FAR_S = 300.0
"""More than this and nothing is issued: the tolerance that Kerberos takes too (RFC 4120, 8.2)."""
STILL = 0.8
"""What was over a bound stays so down to this part of it, so that a clock on the edge does not come and go."""


class Source(StrEnum):
    """What a node's clock follows, the best first."""

    SERVER = "server"
    """A time server of the plan, through chrony."""
    MEMBERS = "members"
    """It agreed with the members since this machine was started."""
    OWN = "own"
    """Nothing yet: whatever the machine woke up with."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A member's clock: how far it is ahead of this node's own, and by how much that may be wrong, in seconds."""

    slot: int
    source: Source
    ahead_s: float
    error_s: float = 0.0


def reference(clocks: Sequence[Clock], slots: int) -> Clock | None:
    """The clock that has the common time; none while that can't be told. `slots` is how many the site has.

    Only clocks of the best source count. Of those it is the middle one; of an even number the later of the middle
    two, because a machine without a battery is late, never early. Among clocks that follow nothing yet, a majority
    of the site has to agree with it, or all of the site has to be known.
    """
    if not clocks:
        return None
    best = min((clock.source for clock in clocks), key=list(Source).index)
    peers = sorted((clock for clock in clocks if clock.source is best), key=lambda clock: (clock.ahead_s, clock.slot))
    middle = peers[len(peers) // 2]
    if best is Source.OWN and len(clocks) < slots:
        agreeing = sum(abs(deviation(clock, middle)) <= MAX_SKEW_S for clock in peers)
        if 2 * agreeing <= slots:
            return None
    return middle


def deviation(clock: Clock, common: Clock) -> float:
    """By how many seconds a clock is ahead of the common time for certain; 0 where that is within the error."""
    if clock.slot == common.slot:
        return 0.0
    ahead_s, error_s = clock.ahead_s - common.ahead_s, clock.error_s + common.error_s
    return max(ahead_s - error_s, 0.0) + min(ahead_s + error_s, 0.0)


def correction(own: Clock, common: Clock) -> float | None:
    """By how many seconds this node has to set its clock forward; none when it has not, or others see to it.

    chrony sees to a clock that follows a server, and, once it agreed with the members, to one that drifts from them.
    """
    order = list(Source)
    settled = own.source is not Source.OWN and order.index(own.source) <= order.index(common.source)
    if settled or abs(deviation(own, common)) <= MAX_SKEW_S:
        return None
    return common.ahead_s - own.ahead_s


def over(bound_s: float, clocks: Sequence[Clock], common: Clock, before: frozenset[int]) -> frozenset[int]:
    """The slots whose clocks are off by more than the bound; `before` are those that were."""
    return frozenset(
        clock.slot
        for clock in clocks
        if abs(deviation(clock, common)) > (bound_s * STILL if clock.slot in before else bound_s)
    )


def sentence(name: str, clock: Clock, common: Clock, names: Mapping[int, str]) -> str:
    """`the clock of node2 is 1 d 2 min ahead of the others'`."""
    off_s = deviation(clock, common)
    whose = f"that of {names[common.slot]}" if common.source is Source.SERVER or len(names) == 2 else "the others'"
    whose += ", which follows a time server" if common.source is Source.SERVER else ""
    return f"the clock of {name} is {span(off_s)} {'ahead of' if off_s > 0 else 'behind'} {whose}"


def span(seconds: float) -> str:
    """A duration of either sign in its two largest units, such as `1 d 2 min`."""
    left = round(abs(seconds))
    parts = []
    for unit, size in (("y", 31_557_600), ("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
