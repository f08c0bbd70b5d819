"""Whether a slot may go from a silent node to a second claimant; pure. docs/formation.md has the rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from firstboot.cluster.ballots import Shown, Votes
from firstboot.cluster.founder import short

OPERATOR = "an operator must release the slot"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a node knows when a second claimant asks. `silent_s` tells how long a node was not heard of."""

    own_slot: int
    names: Mapping[int, str]
    votes: Votes
    views: Mapping[int, Shown]
    cluster_exists: bool
    silent_s: Callable[[str], float]
    release_after_s: float


def bar(now: Circumstances, slot: int, claimant: str, incumbent: str) -> str:
    """Why the slot can't go from the incumbent to the claimant; empty when it can."""
    if slot == now.own_slot or incumbent == claimant:
        return "that node holds a slot and is running"
    sealed = _sealed(now, slot, claimant)
    if sealed:
        return sealed
    silent_s = now.silent_s(incumbent)
    if silent_s < now.release_after_s:
        after = f"the slot can be claimed again after {now.release_after_s:.0f} s"
        return f"that node was heard of {silent_s:.0f} s ago; {after}"
    for other, node in now.votes.releases.items():
        if node == claimant and other != slot:
            return f"you are to get slot {other}"
    rival = now.votes.releases.get(slot, claimant)
    if rival != claimant and now.silent_s(rival) < now.release_after_s:
        return f"node {short(rival)} claimed it before you"
    return ""


def _sealed(now: Circumstances, slot: int, claimant: str) -> str:
    """Why nothing is released any more. While this node is not ready, no founder was decided with it."""
    ready = now.votes.ready
    if now.votes.founder is not None and ready is not None and slot not in ready.proposal.claims:
        return f"the cluster was founded without slot {slot} ({now.names.get(slot, '?')})"
    if now.cluster_exists or now.votes.founder is not None:
        return f"the cluster was founded with that node: {OPERATOR}"
    if slot in now.votes.attempt.without:
        return "this node goes on without that slot for now"
    if ready is not None:
        command = f"trivet-node form --without {slot}"
        return f"the members agreed on that node; if it is lost, turn this one off and go on without it: {command}"
    for other, view in sorted(now.views.items()):
        holder = view.claims.get(slot)
        if view.founder is not None and holder is not None and holder != claimant:
            name = f"slot {other} ({now.names.get(other, '?')})"
            return f"{name} says that the cluster was founded with node {short(holder)} in it: {OPERATOR}"
    return ""
