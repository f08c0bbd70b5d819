"""How a member settles the next epoch: it prepares, proposes the change on the latest document, collects consent."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from firstboot.cluster.bids import (
    Accept,
    Accepted,
    Bid,
    Busy,
    Consent,
    Learn,
    Newer,
    Prepare,
    Promise,
    Question,
    Reaction,
    RegisterState,
    Rejected,
)
from firstboot.cluster.changes import Change, Refusal
from firstboot.cluster.members import Members
from firstboot.cluster.proceedings import Call, Denied, Finished, GivenUp, Made

LEAP = 1000
"""By so much a bid's number goes up at most when another one is ahead: numbers must not be used up by one answer."""


@dataclass(frozen=True, slots=True)
class Timing:
    """In seconds: how long a round may take, the pause after the first one in vain, until when a wish is tried."""

    round_s: float = 20.0
    pause_s: float = 0.5
    longest_pause_s: float = 8.0
    give_up_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Adopt:
    """This epoch is settled: to be on disk before anything that follows."""

    members: Members


Step = Adopt | Call | Finished


@dataclass(slots=True)
class _Wish:
    request: int
    change: Change | None
    since_s: float
    sent: bool = False
    """A document with the change went out: whatever happens now, it may be made."""
    missing: str = ""
    """Who did not answer in the last round that ended for that."""


@dataclass(slots=True)
class _Round:
    """One bid. `after` is the epoch that it is to come to; `document` the same, once consent is asked for."""

    base: Members
    bid: Bid
    call: int
    began_s: float
    asked: set[str]
    promises: dict[str, Accepted | None] = field(default_factory=dict)
    after: Members | None = None
    document: Members | None = None
    own: bool = False
    consents: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)


class Proposer:
    """Works on one wish after the other. `state` is what is on this node's disk at that moment."""

    def __init__(self, node_id: str, chance: random.Random, timing: Timing) -> None:
        self._me = node_id
        self._chance = chance
        self._timing = timing
        self._wishes: list[_Wish] = []
        self._round: _Round | None = None
        self._rest_until_s = 0.0
        self._vain = 0
        self._seen = 0
        self._members: set[str] = set()
        """Those of the last round's base."""
        self._calls = 0
        self.trouble = ""
        """Why the last round was in vain; empty when none was since the last success."""

    def want(self, request: int, change: Change | None, now_s: float) -> None:
        """Take a wish in; `go_on` works on it."""
        self._wishes.append(_Wish(request, change, now_s))

    def go_on(self, state: RegisterState, now_s: float) -> list[Step]:
        """Begin a round, if there is a wish and it is time to; end what takes too long."""
        if not self._wishes:
            return []
        wish = self._wishes[0]
        if self._round is not None:
            if self._round.base == state.members and now_s - self._round.began_s < self._timing.round_s:
                return []
            self._fail(now_s)
        if state.members is None or self._me not in state.members.nodes:
            return self._end(GivenUp(_no_member(self._me, state.members), wish.sent))
        if now_s - wish.since_s >= self._timing.give_up_s:
            return self._end(GivenUp(self.trouble or "the members did not answer in time", wish.sent))
        return self._begin(state.members, state, now_s) if now_s >= self._rest_until_s else []

    def react(self, call: int, node_id: str, reaction: Reaction, now_s: float) -> list[Step]:
        """A member answered."""
        if isinstance(reaction, Newer) and node_id in self._members:  # good news, however old the question is
            if self._round is not None and reaction.members.epoch > self._round.base.epoch:
                self._round = None
            return [Adopt(reaction.members)]
        current = self._round
        if current is None or call != current.call:
            return []
        match reaction:
            case Promise() if reaction.bid == current.bid:
                current.promises[node_id] = reaction.accepted
                return self._promised(current, node_id)
            case Consent() if reaction.bid == current.bid:
                current.consents.add(node_id)
                return self._consented(current)
            case Newer():
                self.fail(call, node_id, "it is no member, and knows of another epoch", now_s)
            case Busy():
                self._seen = max(self._seen, min(reaction.promised.number, self._seen + LEAP))
                missing = self._wishes[0].missing if self._wishes else ""
                self.trouble = "another member is making a change" + (f"; before that {missing}" if missing else "")
                self._fail(now_s, told=False)
            case Rejected():
                self.fail(call, node_id, reaction.reason, now_s)
        return []

    def fail(self, call: int, node_id: str, cause: str, now_s: float) -> None:
        """A member did not answer."""
        current = self._round
        if current is None or call != current.call:
            return
        current.failures[node_id] = cause
        answered = current.promises if current.document is None else current.consents
        if current.asked <= current.failures.keys() | set(answered):
            self._fail(now_s)

    @property
    def busy(self) -> bool:
        """Whether there is a wish."""
        return bool(self._wishes)

    # Rounds

    def _begin(self, base: Members, state: RegisterState, now_s: float) -> list[Step]:
        """The own promise comes first: once it is on disk, this bid is never made again with another document."""
        self._seen = max(self._seen, state.promised.number) + 1
        self._calls += 1
        bid = Bid(self._seen, self._me)
        self._members = set(base.nodes)
        self._round = _Round(base, bid, self._calls, now_s, {self._me})
        return [Call(self._calls, self._me, Prepare(base, bid))]

    def _promised(self, current: _Round, node_id: str) -> list[Step]:
        if current.document is not None:
            return []
        if node_id == self._me:
            others = self._concerned(current.base) - {self._me}
            steps = self._ask(current, others, Prepare(current.base, current.bid))
            return steps + self._propose(current)
        return self._propose(current)

    def _concerned(self, base: Members) -> set[str]:
        """The members, and who would become one."""
        change = self._wishes[0].change
        outcome = change.apply(base) if change is not None else base
        return set(base.nodes) | (set(outcome.nodes) if isinstance(outcome, Members) else set())

    def _propose(self, current: _Round) -> list[Step]:
        """Once more than half take part: what one of them consented to in the latest bid; else the wish."""
        if not current.base.is_majority(current.promises):
            return []
        given = [accepted for accepted in current.promises.values() if accepted is not None]
        if given:
            return self._ask_consent(current, max(given, key=lambda accepted: accepted.bid).members, own=False)
        wish = self._wishes[0]
        outcome = wish.change.apply(current.base) if wish.change is not None else current.base
        if isinstance(outcome, Refusal):
            return self._end(Denied(outcome, current.base.epoch))
        if outcome == current.base:
            return self._end(Made(current.base))
        current.after = outcome
        if not outcome.is_majority(current.promises):
            return []
        wish.sent = True
        return self._ask_consent(current, outcome, own=True)

    def _ask_consent(self, current: _Round, document: Members, *, own: bool) -> list[Step]:
        self._calls += 1
        current.after = current.document = document
        current.own = own
        current.call, current.asked, current.failures = self._calls, set(), {}
        everybody = set(current.base.nodes) | set(document.nodes)
        return self._ask(current, everybody, Accept(current.base, current.bid, document))

    def _consented(self, current: _Round) -> list[Step]:
        """Settled once more than half of the members before and of the members after gave their consent."""
        document = current.document
        assert document is not None
        if not current.base.is_majority(current.consents) or not document.is_majority(current.consents):
            return []
        steps: list[Step] = [Adopt(document)]
        others = (set(current.base.nodes) | set(document.nodes)) - {self._me}
        steps += [Call(0, node, Learn(document)) for node in sorted(others)]
        self._round, self._vain, self._rest_until_s, self.trouble = None, 0, 0.0, ""
        return steps + self._end(Made(document)) if current.own else steps

    def _ask(self, current: _Round, nodes: set[str], question: Question) -> list[Step]:
        current.asked |= nodes
        return [Call(current.call, node, question) for node in sorted(nodes)]

    def _fail(self, now_s: float, *, told: bool = True) -> None:
        """This round is in vain: rest, and then try again."""
        current = self._round
        if current is not None and told:
            self.trouble = _missing(current)
            if self._wishes:
                self._wishes[0].missing = self.trouble
        self._round = None
        pause_s = min(self._timing.pause_s * 2**self._vain, self._timing.longest_pause_s)
        self._vain = min(self._vain + 1, 10)
        self._rest_until_s = now_s + pause_s * self._chance.uniform(0.5, 1.5)

    def _end(self, end: Made | Denied | GivenUp) -> list[Step]:
        self._round, self._vain, self._rest_until_s = None, 0, 0.0
        wish = self._wishes.pop(0)
        return [Finished(wish.request, end)]


def _missing(current: _Round) -> str:
    """Who did not answer, by slot."""
    base, done = current.base, current.promises if current.document is None else current.consents
    nodes = {**(current.after.nodes if current.after is not None else {}), **base.nodes}
    silent = sorted((slot, node) for node, slot in nodes.items() if node not in done)
    told = "; ".join(
        f"{base.slots[slot].name if slot in base.slots else slot}: {current.failures.get(node, 'no answer in time')}"
        for slot, node in silent
    )
    which, needed = "members", base
    if base.is_majority(done) and current.after is not None:
        which, needed = "members after the change", current.after
    answered = sum(node in done for node in needed.nodes)
    return f"{answered} of {len(needed.nodes)} {which} answered, more than half are needed ({told})"


def _no_member(node_id: str, members: Members | None) -> str:
    if members is None:
        return "this node is in no cluster yet"
    if node_id in members.removed:
        return f"this node was removed from the cluster in epoch {members.removed[node_id].epoch}"
    return f"this node is no member of the cluster, whose epoch is {members.epoch}"
