"""Who founds the cluster: a pure function of authenticated views and persisted votes, the same on every node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from firstboot.cluster import attempts
from firstboot.cluster.ballots import FIRST, Attempt, Proposal, Ready, Shown, Votes
from firstboot.cluster.events import Follow, Found, Identity, Outside, WaitFor

COPY_HINT = "a disk was copied or restored: turn that machine off, or wipe the state of every machine of the site"
TWICE_HINT = "two machines have the seed of one slot: turn the second one off"
LATER_HINT = "the members admit it if its slot is open; the slot of another node, an operator has to release"
NOBODY: Mapping[str, Shown] = {}


@dataclass(frozen=True, slots=True)
class Freeze:
    """This node may persist that it is ready for this, and that `token` is its own."""

    ready: Ready
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """This is decided: the node may persist it."""

    ready: Ready


Decision = WaitFor | Freeze | Chosen


def decide(me: Identity, votes: Votes, views: Mapping[int, Shown], rivals: Mapping[str, Shown] = NOBODY) -> Decision:
    """The next step towards a founder, from own votes and the other members' views by slot.

    Of the slots that the attempt asks, the lowest one leads: its holder is ready first, for what an earlier attempt
    may have decided, else for the claims that all show, with its `run` as the token. The others are ready for the
    same. It decides when all of them show that they are ready for it; whoever is a member of it, follows.
    docs/formation.md has the argument. `rivals`, by node id, decide nothing; but while one of them shows a cluster
    without this machine, this machine founds no second one.
    """
    rest = attempts.rest(me.names, votes.attempt)
    decided = _decided(me, votes, views) or _founded_by_others(me, rivals)
    if decided is not None:
        return decided
    unclaimed = [slot for slot in sorted(rest) if slot not in votes.claims]
    if unclaimed:
        return WaitFor(f"{listed(unclaimed, rest)} not claimed yet", "start the machines of these slots")
    others = [slot for slot in sorted(rest) if slot != me.slot]
    for slot in others:
        obstacle = _absence(slot, rest, votes, views.get(slot))
        if obstacle is not None:
            return obstacle
    if votes.ready is None or not votes.is_ready:
        return _freeze(me, rest, votes, views)
    leader = min(rest)
    for slot in others:
        if slot == leader or me.slot == leader:
            obstacle = _unready(slot, rest, votes.ready, views[slot])
            if obstacle is not None:
                return obstacle
    if me.slot == leader:
        return Chosen(votes.ready)
    return WaitFor(f"slot {leader} ({rest[leader]}) has not decided yet to found the cluster")


def outcome(me: Identity, votes: Votes) -> Found | Follow | WaitFor:
    """What a decision on disk means for this node."""
    assert votes.founder is not None
    if votes.ready is not None:
        proposal = votes.ready.proposal
        if not proposal.has(me.slot, me.node_id):
            return Outside(without(me, proposal.claims, "the cluster was founded"), LATER_HINT)
        if proposal.founder == me.slot and proposal.token != votes.token:
            return WaitFor(
                f"run {short(proposal.token)} of this node founds the cluster, and this machine never was that",
                COPY_HINT,
            )
    return Found(votes.founder) if votes.founder == me.slot else Follow(votes.founder)


def listed(slots: list[int], names: Mapping[int, str]) -> str:
    """`slot 2 (node2) is` or `slots 2 (node2), 3 (node3) are`, for messages."""
    items = ", ".join(f"{slot} ({names.get(slot, '?')})" for slot in slots)
    return f"slots {items} are" if len(slots) > 1 else f"slot {items} is"


def named(slots: Iterable[int], names: Mapping[int, str]) -> str:
    """`slot 2 (node2)` or `slots 2 (node2), 3 (node3)`, for messages."""
    return listed(list(slots), names).rpartition(" ")[0]


def short(node_id: str) -> str:
    """The part of a node id that people compare."""
    return node_id[:12]


def _decided(me: Identity, votes: Votes, views: Mapping[int, Shown]) -> Decision | None:
    """What somebody else's decision means for this node, which has none yet."""
    for slot, view in sorted(views.items()):
        if view.founder is None or view.ready is None:
            continue
        proposal, name = view.ready.proposal, f"slot {slot} ({me.names.get(slot, '?')})"
        if votes.ready is not None and votes.ready.proposal == proposal:
            return Chosen(votes.ready)
        if not proposal.has(me.slot, me.node_id):
            return Outside(without(me, proposal.claims, f"{name} says that the cluster was founded"), LATER_HINT)
        if votes.ready is None:
            return Chosen(view.ready)
        return Outside(_torn(name, view.ready, votes.ready), COPY_HINT)
    return None


def _founded_by_others(me: Identity, rivals: Mapping[str, Shown]) -> Outside | None:
    """Whether machines whose slots this node gave to others have founded before: this one is surplus then."""
    for node_id, view in sorted(rivals.items()):
        ready = view.ready if view.founder is not None else None
        if ready is not None and not ready.proposal.has(me.slot, me.node_id):
            said = f"node {short(node_id)} says that the cluster was founded"
            return Outside(without(me, ready.proposal.claims, said), LATER_HINT)
    return None


def without(me: Identity, members: Mapping[int, str], what: str) -> str:
    """That `what` goes on with these members (node ids by slot), of which this machine is none."""
    holder = members.get(me.slot)
    slot = f"slot {me.slot} ({me.names.get(me.slot, '?')})"
    if holder is None:
        return f"{what} without {slot}"
    return f"{what} with node {short(holder)} in {slot}; this machine is node {short(me.node_id)}"


def _absence(slot: int, rest: Mapping[int, str], votes: Votes, view: Shown | None) -> WaitFor | None:
    """Why that slot's holder does not take part in the same attempt."""
    name = f"slot {slot} ({rest[slot]})"
    if view is None:
        return WaitFor(f"{name} has not shown its votes yet", f"is {rest[slot]} running and reachable?")
    if view.node_id != votes.claims[slot]:
        return WaitFor(
            f"{name} is held by node {short(votes.claims[slot])}, but node {short(view.node_id)} answers for it",
            TWICE_HINT,
        )
    if view.attempt == votes.attempt:
        return None
    return WaitFor(f"{name} {_told(view.attempt)}, this node {_told(votes.attempt)}", "the status there says why")


def _told(attempt: Attempt) -> str:
    if not attempt.without:
        return "asks every slot" + (f" again (attempt {attempt.number})" if attempt.number else "")
    slots = ", ".join(map(str, attempt.without))
    return f"goes on without slot{'s' * (len(attempt.without) > 1)} {slots} (attempt {attempt.number})"


def _freeze(me: Identity, rest: Mapping[int, str], votes: Votes, views: Mapping[int, Shown]) -> Decision:
    leader = min(rest)
    if me.slot != leader:
        ready = views[leader].ready
        if ready is not None and ready.attempt == votes.attempt:
            return _consent(me, rest, votes, views, ready)
        disagreement = _disagreement(me, rest, votes, views)
        return disagreement or WaitFor(
            f"slot {leader} ({rest[leader]}), which is to found the cluster, is not ready yet"
        )
    earlier = attempts.latest([votes.ready, *(views[slot].ready for slot in rest if slot != me.slot)])
    if len(earlier) > 1:
        tokens = " and ".join(short(proposal.token) for proposal in earlier)
        return WaitFor(f"members are ready for two runs of the founder, {tokens}", COPY_HINT)
    if earlier:
        return _stranger(me, earlier[0]) or Freeze(Ready(votes.attempt, earlier[0]), votes.token)
    claims = {slot: votes.claims[slot] for slot in rest}
    seeds = {slot: me.seed_id if slot == me.slot else views[slot].seed_id for slot in rest}
    token = votes.token or me.run
    return _disagreement(me, rest, votes, views) or Freeze(
        Ready(votes.attempt, Proposal(claims, seeds, token)), token
    )


def _consent(
    me: Identity, rest: Mapping[int, str], votes: Votes, views: Mapping[int, Shown], ready: Ready
) -> Decision:
    """Be ready for what the leader is ready for: in a later attempt maybe for claims that were frozen before."""
    obstacle = _stranger(me, ready.proposal)
    if obstacle is None and votes.attempt == FIRST:
        obstacle = _disagreement(me, rest, votes, views)
        if obstacle is None and ready.proposal.claims != votes.claims:
            obstacle = WaitFor(f"slot {min(rest)} ({rest[min(rest)]}) is ready for other claims", TWICE_HINT)
    return obstacle or Freeze(ready, votes.token)


def _stranger(me: Identity, proposal: Proposal) -> WaitFor | None:
    """A node gives no consent to another one in its own slot."""
    if proposal.claims.get(me.slot, me.node_id) == me.node_id:
        return None
    return WaitFor(without(me, proposal.claims, "the cluster is about to be founded"), TWICE_HINT)


def _disagreement(me: Identity, rest: Mapping[int, str], votes: Votes, views: Mapping[int, Shown]) -> WaitFor | None:
    """Why the claims are not the same everywhere, and settled."""
    for slot in sorted(rest):
        if slot != me.slot:
            obstacle = _other_claims(slot, rest, votes.claims, views[slot])
            if obstacle is not None:
                return obstacle
    if votes.releases:
        slot, claimant = min(votes.releases.items())
        return WaitFor(
            f"slot {slot} ({me.names[slot]}) goes from node {short(votes.claims[slot])}, which is silent, to node "
            f"{short(claimant)} once every other member agrees"
        )
    changing = [slot for slot in sorted(rest) if slot != me.slot and views[slot].releases]
    if changing:
        return WaitFor(f"slot {changing[0]} ({rest[changing[0]]}) is about to release a slot")
    return None


def _other_claims(slot: int, rest: Mapping[int, str], claims: Mapping[int, str], view: Shown) -> WaitFor | None:
    if view.claims == claims:
        return None
    name = f"slot {slot} ({rest[slot]})"
    missing = [other for other in sorted(rest) if other not in view.claims]
    if missing:
        return WaitFor(f"{name} has no claim yet from {named(missing, rest)}")
    for other in sorted(rest):
        if view.claims[other] != claims[other]:
            return WaitFor(
                f"{name} voted for node {short(view.claims[other])} to hold slot {other} ({rest[other]}), "
                f"this node for {short(claims[other])}",
                "two machines have the seed of one slot: turn one off; its votes are released once it is silent",
            )
    return None


def _unready(slot: int, rest: Mapping[int, str], ready: Ready, view: Shown) -> WaitFor | None:
    name = f"slot {slot} ({rest[slot]})"
    if view.ready is None or view.ready.attempt < ready.attempt:
        return WaitFor(f"{name} agrees on who holds the slots, but is not ready yet")
    if view.ready != ready:
        return WaitFor(_torn(name, view.ready, ready), COPY_HINT)
    return None


def _torn(name: str, theirs: Ready, ours: Ready) -> str:
    return (
        f"{name} is ready for run {short(theirs.proposal.token)} of the founder, "
        f"this node for {short(ours.proposal.token)}"
    )
