"""Which attempt a node takes part in: its own operator's, others', and none without a machine that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firstboot.cluster import attempts
from firstboot.cluster.ballots import FIRST, Attempt, Shown, Votes
from firstboot.cluster.events import Declined, Identity, WaitFor
from firstboot.cluster.founder import named
from firstboot.cluster.presence import Presence


class Participation:
    """What one node knows of attempts. `views` are those of the slots' holders, by slot."""

    def __init__(self, identity: Identity, presence: Presence) -> None:
        self._me = identity
        self._presence = presence
        self._latest = FIRST
        self._back: set[int] = set()
        """Slots that were heard of since the latest attempt is known."""

    def hear(self, slot: int) -> None:
        """A machine of that slot was heard of."""
        self._back.add(slot)

    def next(self, votes: Votes, views: Mapping[int, Shown]) -> Attempt | None:
        """The attempt to take part in from now on: what others show, or one that takes in again who came back."""
        latest = self._notice(votes, views)
        if self._me.slot in latest.without:
            return None
        if self._back.intersection(latest.without):
            shown = (view.ready for view in views.values())
            if not attempts.frozen(latest, [votes.ready, *shown]):
                absent = self._absent(latest)
                if len(absent) < len(latest.without):
                    return attempts.following(latest, absent, self._me.node_id)
        if latest > votes.attempt and not self._against(latest):
            return latest
        return None

    def leave_out(self, slots: Sequence[int], votes: Votes, views: Mapping[int, Shown]) -> Attempt | Declined:
        """The attempt that an operator begins; who is left out already and still absent, stays so."""
        if not slots:
            return Declined("no slot was named")
        latest = self._notice(votes, views)
        if votes.attempt == latest and set(slots) <= set(latest.without):
            return latest
        attempt = attempts.following(latest, [*slots, *self._absent(latest)], self._me.node_id)
        why = self._against(attempt)
        return Declined(why, "see who is there: trivet-node status") if why else attempt

    def declined(self, votes: Votes, views: Mapping[int, Shown]) -> WaitFor | None:
        """An attempt of others that this node takes no part in yet."""
        latest = self._latest
        if latest <= votes.attempt or self._me.slot in latest.without:
            return None
        why = self._against(latest)
        if not why:
            return None
        names = self._me.names
        callers = [slot for slot, view in sorted(views.items()) if view.attempt == latest]
        return WaitFor(
            f"{named(callers, names)} wants to go on without {named(latest.without, names)}, "
            f"this node does not yet: {why}",
            "turn that machine off if it is to be left out; if it is to stay, leave it on",
        )

    def _notice(self, votes: Votes, views: Mapping[int, Shown]) -> Attempt:
        """The latest attempt that is known."""
        latest = max(votes.attempt, *(view.attempt for view in views.values())) if views else votes.attempt
        if latest > self._latest:
            self._latest = latest
            self._back.clear()
        return self._latest

    def _absent(self, attempt: Attempt) -> list[int]:
        """Of the slots that it leaves out, those whose machines this node can take for absent."""
        others = (slot for slot in attempt.without if slot != self._me.slot)
        return [slot for slot in others if not self._presence.of_slot(slot)]

    def _against(self, attempt: Attempt) -> str:
        """Why this node takes no part in that attempt; empty when it does."""
        return attempts.bar(self._me.names, self._me.slot, attempt, self._presence.of_slot)
