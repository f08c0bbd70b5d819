"""Formation of one node as a state machine: events in, actions out; no I/O, no clock, no randomness of its own.

The agent runs it between files, HTTP and threads (firstboot.cluster.claims); the simulator runs the same code.
docs/formation.md has the states and the argument why no two founders can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from firstboot.cluster import attempts, founder, itinerary, roster, votes
from firstboot.cluster.ballots import Votes
from firstboot.cluster.events import (
    Action,
    Answer,
    ClaimArrived,
    ClusterExists,
    Declined,
    Event,
    Follow,
    Found,
    Granted,
    Held,
    Identity,
    LeaveOut,
    LeftOut,
    MembersKnown,
    NotYours,
    Outside,
    Persist,
    Persisted,
    PersistFailed,
    Refuse,
    Reply,
    RoundBegan,
    Started,
    TimePassed,
    Unsaved,
    Visited,
    VisitFailed,
    WaitFor,
)
from firstboot.cluster.founder import Chosen, Decision, Freeze
from firstboot.cluster.itinerary import Pace
from firstboot.cluster.participation import Participation
from firstboot.cluster.presence import Patience, Presence
from firstboot.cluster.releases import Circumstances, bar
from firstboot.cluster.roster import Roster

PATIENCE = Patience()
PACE = Pace()


class Core:
    """One node. Call `step` with every event, one after the other, and do the actions in their order."""

    def __init__(self, identity: Identity, patience: Patience = PATIENCE, pace: Pace = PACE) -> None:
        self.identity = identity
        self.votes = Votes()
        """What is on disk for certain: the only votes to be shown to anybody."""
        self.roster = Roster(own_slot=identity.slot, own_id=identity.node_id, own_run=identity.run)
        self.cluster_exists = False
        self._holders: Mapping[int, str] | None = None
        """Who holds the slots of a founded cluster, whatever was voted."""
        self._presence = Presence(patience)
        self._pace = pace
        self._asked: Persist | None = None
        self._then: list[Action] = []
        self._deferred: list[ClaimArrived | LeaveOut] = []
        self._serial = 0
        self._participation = Participation(identity, self._presence)
        self._assessed: tuple[Votes, Roster, WaitFor | None, Decision] | None = None

    def step(self, event: Event) -> list[Action]:
        """Take one event in; the actions that it leads to."""
        self._presence.live(event.now_s)
        match event:
            case Visited():
                return self._visited(event)
            case RoundBegan():
                return self._began_round(event)
            case ClaimArrived() | LeaveOut():
                return self._serve(event) + self._advance()
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
            case ClusterExists():
                self.cluster_exists = True
            case MembersKnown():
                self.cluster_exists = True
                self.identity = replace(self.identity, names={**self.identity.names, **event.names})
                gone = set((self._holders or {}).values()) - set(event.holders.values())
                self._holders = event.holders
                self.roster = roster.settle(roster.forget(self.roster, gone), event.holders)
        return []

    def obstacle(self) -> WaitFor | None:
        """What keeps this node from being admitted by all and knowing all; None when nothing does, or it decided."""
        if self.cluster_exists and self.votes.founder is None:
            standing = self.standing()
            return standing if isinstance(standing, WaitFor) else None
        obstacle, decision = self._assess()
        return decision if isinstance(decision, Outside) else obstacle

    def standing(self) -> WaitFor | Found | Follow:
        """What this node waits for, or who founds."""
        if self.votes.founder is not None:
            return founder.outcome(self.identity, self.votes)
        obstacle, decision = self._assess()
        if isinstance(decision, Outside):
            return decision
        if self.cluster_exists and not isinstance(decision, Chosen):
            what = "the cluster was founded"
            return Outside(founder.without(self.identity, self._holders or {}, what), founder.LATER_HINT)
        declined = self._participation.declined(self.votes, self.roster.views)
        if declined is not None:
            return declined
        if obstacle is not None and not self.votes.is_ready:
            return obstacle
        if isinstance(decision, Freeze):
            return self._unreachable() or WaitFor("every slot is claimed: this node is about to say that it is ready")
        if isinstance(decision, WaitFor):
            return obstacle or decision
        return WaitFor("every member is ready: the decision is being written to disk")

    @property
    def hurried(self) -> bool:
        """All are there and only the last votes are to be exchanged: short pauses between rounds."""
        return self.votes.founder is None and self.obstacle() is None and self._unreachable() is None

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
            itinerary.targets(
                self.roster,
                self.votes,
                # Later slots are not in the plan of a seed that is older: who proved to hold one is offered, too.
                self.identity.names.keys() | offers.keys(),
                self._pace,
                self._presence.unseen_s,
                lambda slot: offers.get(slot, ()),
                event.peers,
                event.port,
                event.chance,
            )
        )

    def _visited(self, event: Visited) -> list[Action]:
        visit = event.visit
        self._hear(visit.slot, visit.view.node_id)
        self.roster = roster.fold(self.roster, self._holders or self.votes.claims, visit)
        contact = self.roster.contacts.get(visit.slot)
        if contact is not None and contact.view.node_id == visit.view.node_id:
            self._presence.see(visit.slot)
        return self._advance()

    def _hear(self, slot: int, node_id: str) -> None:
        self._presence.hear(slot, node_id, self.votes)
        self._participation.hear(slot)

    # Claims, and what an operator wants

    def _serve(self, event: ClaimArrived | LeaveOut) -> list[Action]:
        if self._asked is not None:
            if isinstance(event, ClaimArrived) and event.slot == event.sender_slot in self.identity.names:
                self._hear(event.slot, event.node_id)  # the write may fail, and the claim with it
            self._deferred.append(event)
            return []
        return self._claim(event) if isinstance(event, ClaimArrived) else self._leave_out(event)

    def _claim(self, event: ClaimArrived) -> list[Action]:
        slot, node_id = event.slot, event.node_id
        if slot != event.sender_slot:
            return [Answer(event.request, NotYours())]
        verdict = votes.consider(self.votes.claims, self.identity.names, slot, node_id)
        if isinstance(verdict, Granted):
            self._hear(slot, node_id)
            closed = self._closed(slot) if verdict.changed else ""
            if closed:
                return [Answer(event.request, Held("", closed))]
            answer = Answer(event.request, verdict)
            if verdict.changed:
                return self._persist(replace(self.votes, claims=verdict.claims), answer)
            return [answer]
        if not isinstance(verdict, Held):
            return [Answer(event.request, verdict)]
        why = self._bar(slot, node_id, verdict.incumbent)
        held = Answer(event.request, Held(verdict.incumbent, why or "it goes to you once every other member agrees"))
        if verdict.incumbent != node_id:
            self._hear(slot, node_id)
        if why or self.votes.releases.get(slot) == node_id:
            return [held]
        return self._persist(votes.agree(self.votes, slot, node_id), held)

    def _closed(self, slot: int) -> str:
        """Why nobody claims that slot any more, though nobody holds it; empty when it can be claimed."""
        name = f"slot {slot} ({self.identity.names[slot]})"
        if self.votes.founder is not None:
            return f"the cluster was founded without {name}"
        if self.votes.is_ready and slot in self.votes.attempt.without:
            return f"the cluster is about to be founded without {name}"
        return ""

    def _bar(self, slot: int, claimant: str, incumbent: str) -> str:
        now = Circumstances(
            self.identity.slot,
            self.identity.names,
            self.votes,
            self.roster.views,
            self.cluster_exists,
            self._presence.silent_s,
            self._presence.patience.release_after_s,
        )
        return bar(now, slot, claimant, incumbent)

    def _leave_out(self, event: LeaveOut) -> list[Action]:
        if self.votes.founder is not None or self.cluster_exists:
            declined = Declined("the cluster is founded already", "an operator can release the slot of a lost node")
            return [Reply(event.request, declined)]
        attempt = self._participation.leave_out(event.slots, self.votes, self.roster.views)
        if isinstance(attempt, Declined):
            return [Reply(event.request, attempt)]
        if attempt == self.votes.attempt:
            return [Reply(event.request, LeftOut(attempt))]
        return self._persist(attempts.join(self.votes, attempt), Reply(event.request, LeftOut(attempt)))

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
        self.roster = roster.settle(self.roster, self._holders or self.votes.claims)
        actions, self._then = self._then, []
        return actions + self._resume()

    def _persist_failed(self, event: PersistFailed) -> list[Action]:
        if self._asked is None or event.serial != self._asked.serial:
            return []
        self._asked = None
        failed: list[Action] = []
        for waiting in (*self._then, *self._deferred):
            if isinstance(waiting, Answer | ClaimArrived):
                failed.append(Answer(waiting.request, Unsaved()))
            elif isinstance(waiting, Reply | LeaveOut):
                failed.append(Reply(waiting.request, Unsaved()))
        self._then, self._deferred = [], []
        return failed

    def _resume(self) -> list[Action]:
        actions: list[Action] = []
        while self._deferred and self._asked is None:
            actions += self._serve(self._deferred.pop(0))
        return actions + self._advance()

    # Founding

    def _advance(self) -> list[Action]:
        """Do the next step that the members' views allow, if there is one."""
        if self._asked is not None or self.votes.founder is not None:
            return []
        me = self.identity
        if me.slot not in self.votes.claims:  # at the first start, or when the write failed then
            return self._persist(replace(self.votes, claims={**self.votes.claims, me.slot: me.node_id}))
        if not self.cluster_exists:
            attempt = self._participation.next(self.votes, self.roster.views)
            if attempt is not None:
                return self._persist(attempts.join(self.votes, attempt))
            if self.votes.releases:
                return self._release()
        obstacle, decision = self._assess()
        if isinstance(decision, Freeze):
            if not self.cluster_exists and obstacle is None and self._unreachable() is None:
                return self._persist(replace(self.votes, ready=decision.ready, token=decision.token))
        elif isinstance(decision, Chosen):
            return self._decide(decision)
        return []

    def _decide(self, chosen: Chosen) -> list[Action]:
        attempt = max(self.votes.attempt, chosen.ready.attempt)
        after = replace(self.votes, attempt=attempt, ready=chosen.ready, founder=chosen.ready.proposal.founder)
        return self._persist(after, founder.outcome(self.identity, after))

    def _release(self) -> list[Action]:
        release_after_s = self._presence.patience.release_after_s
        for slot in self.votes.releases:
            if self._presence.silent_s(self.votes.claims[slot]) < release_after_s:
                return self._persist(votes.withdraw(self.votes, slot))
        views = {rival.view.node_id: rival.view for rival in self.roster.rivals.values()}
        views |= {contact.view.node_id: contact.view for contact in self.roster.contacts.values()}
        asked = attempts.rest(self.identity.names, self.votes.attempt)
        done = votes.commit(self.votes, self.identity.slot, asked, views)
        return self._persist(done) if done is not None else []

    def _assess(self) -> tuple[WaitFor | None, Decision]:
        """The obstacle and the decision; worked out again only when votes or roster, which are frozen, are others."""
        me, mine, known, assessed = self.identity, self.votes, self.roster, self._assessed
        if assessed is None or assessed[0] is not mine or assessed[1] is not known:
            asked = attempts.rest(me.names, mine.attempt)
            obstacle = roster.obstacle(known, asked, mine.claims) if mine.founder is None else None
            rivals = {node: rival.view for node, rival in known.rivals.items() if node != me.node_id}
            decision = founder.decide(me, mine, known.views, rivals)
            assessed = self._assessed = mine, known, obstacle, decision
        return assessed[2:]

    def _unreachable(self) -> WaitFor | None:
        """Votes are frozen only while all are there: a frozen vote is for good."""
        asked = attempts.rest(self.identity.names, self.votes.attempt)
        contacts = sorted(self.roster.contacts.items())
        silent = [slot for slot, contact in contacts if slot in asked and not contact.reachable]
        if not silent:
            return None
        causes = "; ".join(self.roster.failures[slot] for slot in silent if slot in self.roster.failures)
        listed = founder.listed(silent, self.identity.names)
        return WaitFor(
            f"{listed} silent" + (f" ({causes})" if causes else ""),
            "are these machines running and reachable?",
        )
