"""How long a wait may last: a limit that is pushed on while there is progress. No clock of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Ends at `deadline_s`; progress by any node gives at least `stall_s` more. Times are seconds of one clock."""

    deadline_s: float
    stall_s: float
    best: Mapping[str, int]

    def over(self, now_s: float) -> bool:
        return now_s >= self.deadline_s


def begin(now_s: float, limit_s: float, stall_s: float) -> Patience:
    """A wait that starts now."""
    return Patience(now_s + limit_s, stall_s, {})


def observe(patience: Patience, now_s: float, ranks: Mapping[str, int]) -> Patience:
    """Only a node's getting further than ever before counts: one that goes in circles gains nothing."""
    gains = {name: rank for name, rank in ranks.items() if rank > patience.best.get(name, -1)}
    if not gains:
        return patience
    return Patience(max(patience.deadline_s, now_s + patience.stall_s), patience.stall_s, {**patience.best, **gains})
