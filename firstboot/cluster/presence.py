"""Who was heard of, and how long ago, by a clock of which only the progress counts."""

from __future__ import annotations

from dataclasses import dataclass

from firstboot.cluster.ballots import Votes

MAX_HEARD = 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """How long silence lasts until something follows from it, in seconds.

    An incumbent that was silent for `release_after_s` loses its slot to a second claimant, if all others agree, and a
    slot's machine can be left out: longer than the slowest start of a machine. One that was never heard of can be
    left out `grace_s` after the start of this node. An event shows `max_step_s` of progress at most: a clock that was
    set is no silence.
    """

    release_after_s: float = 300.0
    grace_s: float = 60.0
    max_step_s: float = 30.0


class Presence:
    """What one node heard since its start."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._now_s: float | None = None
        self._lived_s = 0.0
        self._nodes: dict[str, float] = {}
        self._slots: dict[int, float] = {}
        self._seen: dict[int, float] = {}

    def live(self, now_s: float) -> None:
        """Time went on."""
        if self._now_s is not None:
            self._lived_s += min(max(now_s - self._now_s, 0.0), self.patience.max_step_s)
        self._now_s = now_s

    def hear(self, slot: int, node_id: str, votes: Votes) -> None:
        """A node of that slot was heard of. Those of the votes are remembered when there are too many."""
        self._slots[slot] = self._nodes[node_id] = self._lived_s
        if len(self._nodes) > MAX_HEARD:  # the holder of a seed can make up node ids without end
            known = {*votes.claims.values(), *votes.releases.values()}
            self._nodes = {node: at for node, at in self._nodes.items() if node in known}

    def see(self, slot: int) -> None:
        """The slot's holder was visited: it showed its view."""
        self._seen[slot] = self._lived_s

    def unseen_s(self, slot: int) -> float:
        """For how long the slot's holder was not visited; at most since the start."""
        return self._lived_s - self._seen.get(slot, 0.0)

    def silent_s(self, node_id: str) -> float:
        """For how long a node was not heard of; at most since the start."""
        return self._lived_s - self._nodes.get(node_id, 0.0)

    def of_slot(self, slot: int) -> str:
        """Why the slot's machine can't be taken for absent; empty when it can."""
        heard_s = self._slots.get(slot)
        if heard_s is None:
            needed_s = self.patience.grace_s
            if self._lived_s >= needed_s:
                return ""
            return f"this node began to listen {self._lived_s:.0f} s ago; {needed_s:.0f} s are needed"
        silent_s = self._lived_s - heard_s
        if silent_s >= self.patience.release_after_s:
            return ""
        after = f"it can be left out after {self.patience.release_after_s:.0f} s of silence"
        return f"slot {slot} was heard of {silent_s:.0f} s ago; {after}"
