"""Which members' document a machine believes that has none yet; pure.

Whoever proves a slot can show anything, with a copied or a used seed too. What most show counts, so that one such
machine misleads nobody who meets two members.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Showing:
    """A node that proved its slot, and which document it shows: the epoch, and the digest of the content."""

    node_id: str
    slot: int
    epoch: int
    digest: str


def candidate(showings: Collection[Showing]) -> tuple[Showing, ...]:
    """Who shows what most show; of two that as many show, the later epoch."""
    groups: dict[tuple[int, str], list[Showing]] = {}
    for showing in showings:
        groups.setdefault((showing.epoch, showing.digest), []).append(showing)
    best = max(groups, key=lambda key: (len(groups[key]), key), default=None)
    return tuple(groups[best]) if best is not None else ()
