"""Votes: which node holds which slot, and how a slot is claimed again; pure functions of what a node has on disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from firstboot.cluster.ballots import Shown, Votes
from firstboot.cluster.events import Granted, Held, NoSlot


def consider(claims: Mapping[int, str], slots: Iterable[int], slot: int, node_id: str) -> Granted | Held | NoSlot:
    """Answer a claim. The incumbent is never evicted here, and one node holds one slot."""
    if slot not in slots:
        return NoSlot()
    incumbent = claims.get(slot)
    if incumbent == node_id:
        return Granted(claims, changed=False)
    if incumbent is not None:
        return Held(incumbent)
    if node_id in claims.values():
        return Held(node_id)
    return Granted({**claims, slot: node_id}, changed=True)


def lacks_claim(view: Shown, visited_slot: int, own_slot: int, node_id: str) -> bool:
    """Whether to claim at the member that shows this view: nobody votes on who holds its own slot."""
    return visited_slot != own_slot and view.claims.get(own_slot) != node_id


def wanted(votes: Votes | Shown) -> dict[int, str]:
    """The claims as they will be once what was agreed on is done."""
    return {**votes.claims, **votes.releases}


def agree(votes: Votes, slot: int, claimant: str) -> Votes:
    """The votes with the agreement that the claimant shall hold the slot."""
    return replace(votes, releases={**votes.releases, slot: claimant})


def withdraw(votes: Votes, slot: int) -> Votes:
    """The votes without that agreement: the incumbent is back."""
    return replace(votes, releases={other: node for other, node in votes.releases.items() if other != slot})


def commit(votes: Votes, own_slot: int, slots: Collection[int], views: Mapping[str, Shown]) -> Votes | None:
    """The votes with every agreement done, once the holder of every other slot of these shows the same; else None.

    `views` are by node id. Who is to get a slot counts as its holder: two wiped machines need each other's consent.
    """
    aim = wanted(votes)
    for slot in slots:
        if slot != own_slot:
            view = views.get(aim.get(slot, ""))
            if view is None or not _same(wanted(view), aim, slots):
                return None
    return replace(votes, claims=aim, releases={})


def _same(left: Mapping[int, str], right: Mapping[int, str], slots: Collection[int]) -> bool:
    return all(left.get(slot) == right.get(slot) for slot in slots)
