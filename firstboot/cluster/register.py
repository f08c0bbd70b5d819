"""The members' document of a founded cluster, kept by all of them: events in, actions out; no I/O, no clock.

Epoch by epoch, each settled by Paxos among the members of the one before. docs/formation.md has the argument. The
agent runs it between a file and HTTP (firstboot.cluster.council); the simulator runs the same code.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from firstboot.cluster.acceptor import answer, learn
from firstboot.cluster.bids import Learn, Learnt, Question, Reaction, RegisterState, Rejected
from firstboot.cluster.members import Members
from firstboot.cluster.proceedings import (
    Action,
    Asked,
    Call,
    Elapsed,
    Event,
    Finished,
    Opened,
    Reacted,
    Respond,
    Save,
    Saved,
    SaveFailed,
    Settled,
    Unanswered,
    Wanted,
)
from firstboot.cluster.proposer import Adopt, Proposer, Step, Timing

TIMING = Timing()


@dataclass(frozen=True, slots=True)
class _Job:
    """Something that may have to be written down: a question, or an epoch that is settled; `then` follows.

    `request` is the number of the question to answer; none for one that this node asks itself in `call`.
    """

    sender: str
    question: Question
    request: int | None = None
    call: int = 0
    then: tuple[Call | Finished, ...] = ()


class Register:
    """One node's part. Call `step` with every event, one after the other, and do the actions in their order."""

    def __init__(self, node_id: str, chance: random.Random, timing: Timing = TIMING) -> None:
        self.node_id = node_id
        self.state = RegisterState()
        """What is on disk for certain."""
        self._proposer = Proposer(node_id, chance, timing)
        self._now_s = 0.0
        self._serial = 0
        self._saving: tuple[Save, _Job, Reaction] | None = None
        self._jobs: deque[_Job] = deque()

    @property
    def members(self) -> Members | None:
        """The latest epoch that this node knows to be settled; there may be a later one."""
        return self.state.members

    @property
    def busy(self) -> bool:
        """Whether a wish of this node is being worked on."""
        return self._proposer.busy

    @property
    def trouble(self) -> str:
        """Why a wish is not made yet; empty when nothing went wrong so far."""
        return self._proposer.trouble

    def step(self, event: Event) -> list[Action]:
        """Take one event in; the actions that it leads to."""
        self._now_s = event.now_s
        return self._take(event) + self._go_on()

    def _take(self, event: Event) -> list[Action]:
        match event:
            case Asked():
                return self._work(_Job(event.sender, event.question, event.request))
            case Reacted():
                return self._do(self._proposer.react(event.call, event.node_id, event.reaction, event.now_s))
            case Unanswered():
                self._proposer.fail(event.call, event.node_id, event.cause, event.now_s)
            case Saved():
                return self._saved(event.serial)
            case SaveFailed():
                return self._save_failed(event.serial)
            case Settled():
                return self._work(_Job(self.node_id, Learn(event.members)))
            case Wanted():
                self._proposer.want(event.request, event.change, event.now_s)
            case Opened():
                self.state = event.state
            case Elapsed():
                pass
        return []

    def _go_on(self) -> list[Action]:
        return self._do(self._proposer.go_on(self.state, self._now_s)) if self._saving is None else []

    def _do(self, steps: Sequence[Step]) -> list[Action]:
        """What the proposer wants done; what follows an epoch waits until that is on disk."""
        actions: list[Action] = []
        for place, step in enumerate(steps):
            if isinstance(step, Adopt):
                rest = tuple(later for later in steps[place + 1 :] if not isinstance(later, Adopt))
                return actions + self._work(_Job(self.node_id, Learn(step.members), then=rest))
            if isinstance(step, Call) and step.node_id == self.node_id:
                actions += self._work(_Job(self.node_id, step.question, call=step.call))
            else:
                actions.append(step)
        return actions

    # Disk

    def _work(self, job: _Job) -> list[Action]:
        if self._saving is not None:
            self._jobs.append(job)
            return []
        after, reaction = self._answer(job)
        if after == self.state:
            return self._done(job, reaction)
        self._serial += 1
        self._saving = Save(self._serial, after), job, reaction
        return [self._saving[0]]

    def _answer(self, job: _Job) -> tuple[RegisterState, Reaction]:
        """What this node finds itself to be settled needs no sender; see `Settled` for who may say so."""
        if job.request is None and isinstance(job.question, Learn):
            after = learn(self.state, job.question.members)
            assert after.members is not None
            return after, Learnt(after.members.epoch)
        return answer(self.state, job.sender, job.question)

    def _saved(self, serial: int) -> list[Action]:
        if self._saving is None or self._saving[0].serial != serial:
            return []
        (save, job, reaction), self._saving = self._saving, None
        self.state = save.state
        return self._done(job, reaction) + self._next()

    def _save_failed(self, serial: int) -> list[Action]:
        """What was not written was not said; an epoch that is settled stays so."""
        if self._saving is None or self._saving[0].serial != serial:
            return []
        (_, job, _), self._saving = self._saving, None
        return self._done(job, Rejected("it could not be written to disk")) + self._next()

    def _next(self) -> list[Action]:
        actions: list[Action] = []
        while self._jobs and self._saving is None:
            actions += self._work(self._jobs.popleft())
        return actions

    def _done(self, job: _Job, reaction: Reaction) -> list[Action]:
        if job.request is not None:
            return [Respond(job.request, reaction)]
        if isinstance(job.question, Learn):
            return list(job.then)
        return self._do(self._proposer.react(job.call, self.node_id, reaction, self._now_s))
