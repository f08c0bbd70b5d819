"""Documents of a small cluster, for tests of its register."""

from __future__ import annotations

from firstboot.cluster.ballots import Proposal
from firstboot.cluster.members import Members, first

TOKEN = "7" * 32


def node(slot: int, copy: int = 0) -> str:
    return f"{slot:016x}{copy:016x}"


def seed(slot: int, issue: int = 0) -> str:
    return f"5{slot:015x}{issue:016x}"


def founded(slots: int = 3, *, without: tuple[int, ...] = ()) -> Members:
    """The first epoch of a site whose usual nodes came, but for those."""
    there = [slot for slot in range(1, slots + 1) if slot not in without]
    proposal = Proposal({slot: node(slot) for slot in there}, {slot: seed(slot) for slot in there}, TOKEN)
    return first(proposal, {slot: f"node{slot}" for slot in range(1, slots + 1)})
