"""Who founds the cluster: a pure function of authenticated views and persisted votes, the same on every node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firstboot.cluster.events import Follow, Found, Shown, Votes, WaitFor

COPY_HINT = "a disk was copied or restored: turn that machine off, or wipe the state of every machine of the site"


@dataclass(frozen=True, slots=True)
class Freeze:
    """Everybody shows the same claims: this node may persist that it is ready, with this token."""

    token: str


Decision = WaitFor | Freeze | Found | Follow


def decide(own_slot: int, names: Mapping[int, str], votes: Votes, views: Mapping[int, Shown], run: str) -> Decision:
    """The next step towards a founder, from own votes and the other members' views by slot.

    `names` has every slot of the site. The founder is the lowest slot. Its holder freezes its claims first, with its
    `run` as the token; the others freeze with that token; it decides when every holder shows the same claims and the
    same token; they follow when it shows that it decided. docs/formation.md has the argument.
    """
    first = min(names)
    if votes.founder is not None:
        return _decision(votes.founder, own_slot)
    unclaimed = [slot for slot in sorted(names) if slot not in votes.claims]
    if unclaimed:
        return WaitFor(f"{listed(unclaimed, names)} not claimed yet", "start the machines of these slots")
    if votes.ready is not None and own_slot != first and _founds(views.get(first), first, votes):
        return Follow(first)
    for slot in sorted(names):
        if slot != own_slot:
            obstacle = _obstacle(slot, names, votes.claims, views.get(slot))
            if obstacle is not None:
                return obstacle
    if votes.ready is None:
        return _freeze(own_slot, names, votes, views, run)
    for slot in sorted(names):
        if slot != own_slot and (slot == first or own_slot == first):
            obstacle = _unready(slot, names, votes.ready, views[slot])
            if obstacle is not None:
                return obstacle
    if own_slot == first:
        return Found(first)
    return WaitFor(f"slot {first} ({names[first]}) has not decided yet to found the cluster")


def listed(slots: list[int], names: Mapping[int, str]) -> str:
    """`slot 2 (node2) is` or `slots 2 (node2), 3 (node3) are`, for messages."""
    items = ", ".join(f"{slot} ({names.get(slot, '?')})" for slot in slots)
    return f"slots {items} are" if len(slots) > 1 else f"slot {items} is"


def short(node_id: str) -> str:
    """The part of a node id that people compare."""
    return node_id[:12]


def _decision(founder: int, own_slot: int) -> Decision:
    return Found(founder) if founder == own_slot else Follow(founder)


def _founds(view: Shown | None, first: int, votes: Votes) -> bool:
    """Whether the lowest slot's holder shows that it decided, on exactly what this node is ready for."""
    return (
        view is not None
        and view.node_id == votes.claims[first]
        and view.founder == first
        and view.ready == votes.ready
        and view.claims == votes.claims
    )


def _freeze(own_slot: int, names: Mapping[int, str], votes: Votes, views: Mapping[int, Shown], run: str) -> Decision:
    if votes.releases:
        slot, claimant = min(votes.releases.items())
        return WaitFor(
            f"slot {slot} ({names[slot]}) goes from node {short(votes.claims[slot])}, which is silent, to node "
            f"{short(claimant)} once every other member agrees"
        )
    changing = [slot for slot in sorted(names) if slot != own_slot and views[slot].releases]
    if changing:
        return WaitFor(f"slot {changing[0]} ({names[changing[0]]}) is about to release a slot")
    first = min(names)
    if own_slot == first:
        return Freeze(run)
    token = views[first].ready
    if token is None:
        return WaitFor(f"slot {first} ({names[first]}), which is to found the cluster, is not ready yet")
    return Freeze(token)


def _obstacle(slot: int, names: Mapping[int, str], claims: Mapping[int, str], view: Shown | None) -> WaitFor | None:
    name = f"slot {slot} ({names[slot]})"
    if view is None:
        return WaitFor(f"{name} has not shown its votes yet", f"is {names[slot]} running and reachable?")
    if view.node_id != claims[slot]:
        return WaitFor(
            f"{name} is held by node {short(claims[slot])}, but node {short(view.node_id)} answers for it",
            "two machines have the seed of one slot: turn the second one off",
        )
    if view.claims == claims and view.founder in (None, min(names)):
        return None
    missing = [other for other in sorted(names) if other not in view.claims]
    if missing:
        return WaitFor(f"{name} has no claim yet from {listed(missing, names).rpartition(' ')[0]}")
    for other in sorted(names):
        if view.claims[other] != claims[other]:
            return WaitFor(
                f"{name} voted for node {short(view.claims[other])} to hold slot {other} ({names[other]}), "
                f"this node for {short(claims[other])}",
                "two machines have the seed of one slot: turn one off; its votes are released once it is silent",
            )
    if view.founder not in (None, min(names)):
        return WaitFor(f"{name} follows slot {view.founder} as founder, not slot {min(names)}")
    return WaitFor(f"{name} voted for slots that the site does not have")


def _unready(slot: int, names: Mapping[int, str], token: str, view: Shown) -> WaitFor | None:
    if view.ready is None:
        return WaitFor(f"slot {slot} ({names[slot]}) agrees on who holds the slots, but is not ready yet")
    if view.ready != token:
        return WaitFor(
            f"slot {slot} ({names[slot]}) is ready for run {short(view.ready)} of the founder, "
            f"this node for {short(token)}",
            COPY_HINT,
        )
    return None
