"""Formation of one node as a state machine: events in, actions out; no I/O, no clock, no randomness of its own.

The agent runs it between files, HTTP and threads (firstboot.cluster.claims); the simulator runs the same code.
docs/formation.md has the states and the argument why no two founders can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from firstboot.cluster import founder, roster, votes
from firstboot.cluster.events import (
    Action,
    Answer,
    ClaimArrived,
    Event,
    Follow,
    Found,
    Granted,
    Held,
    NotYours,
    Persist,
    Persisted,
    PersistFailed,
    PoolExists,
    Refuse,
    RoundBegan,
    Started,
    TimePassed,
    Unsaved,
    Visited,
    VisitFailed,
    Votes,
    WaitFor,
)
from firstboot.cluster.founder import Decision, Freeze
from firstboot.cluster.releases import Circumstances, bar
from firstboot.cluster.roster import Roster

RELEASE_AFTER_S = 300.0
"""An incumbent that was silent for so long loses its slot to a second claimant, if all others agree: longer than
the slowest start of a machine."""
MAX_STEP_S = 30.0
"""The progress of the clock that one event may show: a clock that was set is no silence."""

MAX_HEARD = 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is. `run` is random, made anew at each start: two live ones of one node are copies of a disk."""

    slot: int
    node_id: str
    names: Mapping[int, str]
    run: str


class Core:
    """One node. Call `step` with every event, one after the other, and do the actions in their order."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.votes = Votes()
        """What is on disk for certain: the only votes to be shown to anybody."""
        self.roster = Roster(own_slot=identity.slot, own_id=identity.node_id, own_run=identity.run)
        self.pool_exists = False
        self._asked: Persist | None = None
        self._then: list[Action] = []
        self._deferred: list[ClaimArrived] = []
        self._serial = 0
        self._now_s: float | None = None
        self._lived_s = 0.0
        self._heard: dict[str, float] = {}
        self._assessed: tuple[Votes, Roster, WaitFor | None, Decision] | None = None

    def step(self, event: Event) -> list[Action]:
        """Take one event in; the actions that it leads to."""
        self._live(event.now_s)
        match event:
            case Visited():
                return self._visited(event)
            case RoundBegan():
                return self._began_round(event)
            case ClaimArrived():
                return self._claim(event)
            case Persisted():
                return self._persisted(event)
            case TimePassed():
                return [self.standing()]
            case VisitFailed():
                if event.slot != self.identity.slot:
                    self.roster = roster.fail(self.roster, event.slot, event.cause, event.address)
            case PersistFailed():
                return self._persist_failed(event)
            case Started():
                return self._start(event)
            case PoolExists():
                self.pool_exists = True
        return []

    def obstacle(self) -> WaitFor | None:
        """What keeps this node from being admitted by all and knowing all; None when nothing does, or it decided."""
        return self._assess()[0]

    def standing(self) -> WaitFor | Found | Follow:
        """What this node waits for, or who founds."""
        obstacle, decision = self._assess()
        if obstacle is not None and self.votes.ready is None:
            return obstacle
        if isinstance(decision, Freeze):
            return self._unreachable() or WaitFor("every slot is claimed: this node is about to say that it is ready")
        if isinstance(decision, WaitFor):
            return obstacle or decision
        if self.votes.founder is None:  # what is not on disk is not decided
            return WaitFor("every member is ready: the decision is being written to disk")
        return decision

    @property
    def hurried(self) -> bool:
        """All are there and only the last votes are to be exchanged: short pauses between rounds."""
        return self.votes.founder is None and self.obstacle() is None and self._unreachable() is None

    def _live(self, now_s: float) -> None:
        if self._now_s is not None:
            self._lived_s += min(max(now_s - self._now_s, 0.0), MAX_STEP_S)
        self._now_s = now_s

    def _start(self, event: Started) -> list[Action]:
        self.votes = event.votes
        me = self.identity
        answer = votes.consider(self.votes.claims, me.names, me.slot, me.node_id)
        if not isinstance(answer, Granted):
            return [
                Refuse(
                    f"this machine voted for another node to hold its own slot {me.slot}",
                    "the state partition was copied from elsewhere: wipe it to give this machine a new identity",
                )
            ]
        return self._advance()

    def _began_round(self, event: RoundBegan) -> list[Action]:
        self.roster = roster.begin_round(self.roster)
        offers = event.offers
        return list(
            roster.targets(
                self.roster,
                sorted(self.identity.names),
                lambda slot: offers.get(slot, ()),
                event.peers,
                event.port,
                event.chance,
            )
        )

    def _visited(self, event: Visited) -> list[Action]:
        visit = event.visit
        self._hear(visit.view.node_id)
        self.roster = roster.fold(self.roster, self.votes.claims, visit)
        return self._advance()

    # Claims

    def _claim(self, event: ClaimArrived) -> list[Action]:
        if event.slot != event.sender_slot:
            return [Answer(event.request, NotYours())]
        if self._asked is not None:
            self._deferred.append(event)
            return []
        slot, node_id = event.slot, event.node_id
        verdict = votes.consider(self.votes.claims, self.identity.names, slot, node_id)
        if isinstance(verdict, Granted):
            self._hear(node_id)
            answer = Answer(event.request, verdict)
            if verdict.changed:
                return self._persist(replace(self.votes, claims=verdict.claims), answer)
            return [answer]
        if not isinstance(verdict, Held):
            return [Answer(event.request, verdict)]
        why = self._bar(slot, node_id, verdict.incumbent)
        held = Answer(event.request, Held(verdict.incumbent, why or "it goes to you once every other member agrees"))
        if verdict.incumbent != node_id:
            self._hear(node_id)
        if why or self.votes.releases.get(slot) == node_id:
            return [held]
        return self._persist(votes.agree(self.votes, slot, node_id), held)

    def _bar(self, slot: int, claimant: str, incumbent: str) -> str:
        now = Circumstances(
            self.identity.slot,
            self.identity.names,
            self.votes,
            self.roster.views,
            self.pool_exists,
            self._silent_s,
            RELEASE_AFTER_S,
        )
        return bar(now, slot, claimant, incumbent)

    def _hear(self, node_id: str) -> None:
        self._heard[node_id] = self._lived_s
        if len(self._heard) > MAX_HEARD:  # the holder of a seed can make up node ids without end
            known = {*self.votes.claims.values(), *self.votes.releases.values()}
            self._heard = {node: at for node, at in self._heard.items() if node in known}

    def _silent_s(self, node_id: str) -> float:
        return self._lived_s - self._heard.get(node_id, 0.0)

    # Votes

    def _persist(self, after: Votes, *then: Action) -> list[Action]:
        """Ask for these votes to be persisted; `then` follows once they are."""
        self._serial += 1
        self._asked = Persist(self._serial, after)
        self._then = list(then)
        return [self._asked]

    def _persisted(self, event: Persisted) -> list[Action]:
        if self._asked is None or event.serial != self._asked.serial:
            return []
        self.votes, self._asked = self._asked.votes, None
        self.roster = roster.settle(self.roster, self.votes.claims)
        actions, self._then = self._then, []
        return actions + self._resume()

    def _persist_failed(self, event: PersistFailed) -> list[Action]:
        if self._asked is None or event.serial != self._asked.serial:
            return []
        self._asked = None
        waiting = [action.request for action in self._then if isinstance(action, Answer)]
        self._then = []
        waiting += [claim.request for claim in self._deferred]
        self._deferred = []
        return [Answer(request, Unsaved()) for request in waiting]

    def _resume(self) -> list[Action]:
        actions: list[Action] = []
        while self._deferred and self._asked is None:
            actions += self._claim(self._deferred.pop(0))
        return actions + self._advance()

    # Founding

    def _advance(self) -> list[Action]:
        """Do the next step that the members' views allow, if there is one."""
        if self._asked is not None or self.votes.founder is not None:
            return []
        me = self.identity
        if me.slot not in self.votes.claims:  # at the first start, or when the write failed then
            return self._persist(replace(self.votes, claims={**self.votes.claims, me.slot: me.node_id}))
        if self.votes.releases:
            return self._release()
        obstacle, decision = self._assess()
        if isinstance(decision, Freeze):
            if obstacle is None and self._unreachable() is None:
                return self._persist(replace(self.votes, ready=decision.token))
        elif not isinstance(decision, WaitFor):
            return self._persist(replace(self.votes, founder=decision.slot), decision)
        return []

    def _release(self) -> list[Action]:
        for slot in self.votes.releases:
            if self._silent_s(self.votes.claims[slot]) < RELEASE_AFTER_S:
                return self._persist(votes.withdraw(self.votes, slot))
        views = {rival.view.node_id: rival.view for rival in self.roster.rivals.values()}
        views |= {contact.view.node_id: contact.view for contact in self.roster.contacts.values()}
        done = votes.commit(self.votes, self.identity.slot, self.identity.names, views)
        return self._persist(done) if done is not None else []

    def _assess(self) -> tuple[WaitFor | None, Decision]:
        """The obstacle and the decision; worked out again only when votes or roster, which are frozen, are others."""
        me, mine, known, assessed = self.identity, self.votes, self.roster, self._assessed
        if assessed is None or assessed[0] is not mine or assessed[1] is not known:
            obstacle = roster.obstacle(known, me.names, mine.claims) if mine.founder is None else None
            decision = founder.decide(me.slot, me.names, mine, known.views, me.run)
            assessed = self._assessed = mine, known, obstacle, decision
        return assessed[2:]

    def _unreachable(self) -> WaitFor | None:
        """Votes are frozen only while all are there: a frozen vote is for good."""
        silent = [slot for slot, contact in sorted(self.roster.contacts.items()) if not contact.reachable]
        if not silent:
            return None
        causes = "; ".join(self.roster.failures[slot] for slot in silent if slot in self.roster.failures)
        listed = founder.listed(silent, self.identity.names)
        return WaitFor(
            f"{listed} silent" + (f" ({causes})" if causes else ""),
            "are these machines running and reachable?",
        )
