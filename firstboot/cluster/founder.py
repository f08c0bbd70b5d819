"""Who founds the cluster: a pure function of authenticated views and persisted votes, the same on every node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firstboot.cluster.views import View


@dataclass(frozen=True)
class WaitFor:
    """Not yet: what is missing, in words with slot names."""

    reason: str
    hint: str = ""


@dataclass(frozen=True)
class Found:
    """This node founds."""

    slot: int


@dataclass(frozen=True)
class Follow:
    """The node of that slot founds."""

    slot: int


Decision = WaitFor | Found | Follow


def decide(
    own_slot: int,
    names: Mapping[int, str],
    claims: Mapping[int, str],
    views: Mapping[int, View],
    decided: int | None = None,
) -> Decision:
    """Decide from own votes (`claims`), the members' views by slot, and what was decided before.

    `names` has every slot of the site. The founder is the lowest slot, once every slot is claimed here and the
    holder of every slot shows exactly the same votes. Votes never change, so an old view is as good as a new one:
    two nodes that both hold the lowest slot's seed would need the same third node's only vote.
    """
    if decided is not None:
        return _decision(decided, own_slot)
    unclaimed = [slot for slot in sorted(names) if slot not in claims]
    if unclaimed:
        return WaitFor(f"{listed(unclaimed, names)} not claimed yet", "start the machines of these slots")
    for slot in sorted(names):
        obstacle = _obstacle(slot, names, claims, views.get(slot))
        if obstacle is not None:
            return obstacle
    return _decision(min(names), own_slot)


def listed(slots: list[int], names: Mapping[int, str]) -> str:
    """`slot 2 (node2) is` or `slots 2 (node2), 3 (node3) are`, for messages."""
    items = ", ".join(f"{slot} ({names.get(slot, '?')})" for slot in slots)
    return f"slots {items} are" if len(slots) > 1 else f"slot {items} is"


def _decision(founder: int, own_slot: int) -> Decision:
    return Found(founder) if founder == own_slot else Follow(founder)


def _obstacle(slot: int, names: Mapping[int, str], claims: Mapping[int, str], view: View | None) -> WaitFor | None:
    name = f"slot {slot} ({names[slot]})"
    if view is None:
        return WaitFor(f"{name} has not shown its votes yet", f"is {names[slot]} running and reachable?")
    if view.slot != slot or view.node_id != claims[slot]:
        return WaitFor(
            f"{name} is held by node {short(claims[slot])}, but node {short(view.node_id)} answers for it",
            "two machines have the seed of one slot: turn the second one off",
        )
    missing = [other for other in sorted(names) if other not in view.claims]
    if missing:
        return WaitFor(f"{name} has no claim yet from {listed(missing, names).rpartition(' ')[0]}")
    for other in sorted(names):
        if view.claims[other] != claims[other]:
            return WaitFor(
                f"{name} voted for node {short(view.claims[other])} to hold slot {other} ({names[other]}), "
                f"this node for {short(claims[other])}",
                "two machines have the seed of one slot: turn one off, wipe the state of the nodes that voted for it",
            )
    if view.founder not in (None, min(names)):
        return WaitFor(f"{name} follows slot {view.founder} as founder, not slot {min(names)}")
    return None


def short(node_id: str) -> str:
    """The part of a node id that people compare."""
    return node_id[:12]
