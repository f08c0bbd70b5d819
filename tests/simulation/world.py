"""The simulated site: events in simulated time, a network that loses, delays and repeats, and the machines on it."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from firstboot.cluster.ballots import Votes
from firstboot.cluster.events import (
    Action,
    Answer,
    ClaimArrived,
    ClusterExists,
    Declined,
    Endpoint,
    Event,
    Held,
    LeaveOut,
    LeftOut,
    NotYours,
    Persist,
    Persisted,
    PersistFailed,
    Reply,
    RoundBegan,
    Started,
    Target,
    Visited,
    VisitFailed,
)
from tests.simulation.conversation import TIMEOUT_S, Conversation
from tests.simulation.invariants import Invariants, ViolationError
from tests.simulation.machines import PORT, Disk, Machine
from tests.simulation.registers import Registers

PAUSE_S = 2.0
HURRIED_S = 0.5
KEEPING_S = 5.0


@dataclass(slots=True)
class Network:
    """The faults of every link while they last."""

    loss: float = 0.0
    slow: float = 0.0
    twice: float = 0.0
    lies: float = 0.0
    bad_disks: float = 0.0


class World:
    """One run. `trace` gets a line for every event, or is None."""

    def __init__(self, chance: random.Random, slots: int, trace: list[str] | None) -> None:
        self.chance = chance
        self.names = {slot: f"node{slot}" for slot in range(1, slots + 1)}
        self.now = 0.0
        self.network = Network()
        self.machines: list[Machine] = []
        self.counts: Counter[str] = Counter()
        self.invariants = Invariants(tuple(self.names))
        self.on_ready: Callable[[Machine], None] = lambda _: None
        """Told of every machine that freezes its votes, at that moment."""
        self.events = 0
        self.halted = False
        self.changed_s = 0.0
        """When votes were last persisted anywhere."""
        self._by_address: dict[str, Machine] = {}
        self._queue: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = 0
        self._requests: dict[tuple[int, int], tuple[Callable[..., None], tuple[object, ...]]] = {}
        self._request = 0
        self._trace = trace
        self.registers: Registers | None = None
        """Where the cluster lives on after its founding."""

    # Time

    def after(self, delay_s: float, call: Callable[..., None], *arguments: object) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.now + delay_s, self._order, call, arguments))

    def run(self, until_s: float) -> None:
        """Until that time, or until `halted`."""
        queue, pop = self._queue, heapq.heappop
        while queue and queue[0][0] <= until_s and not self.halted:
            self.now, _, call, arguments = pop(queue)
            call(*arguments)

    @property
    def traced(self) -> bool:
        return self._trace is not None

    def note(self, text: str) -> None:
        if self._trace is not None:
            self._trace.append(f"{self.now:8.3f} {text}")

    def id(self) -> str:
        return f"{self.chance.getrandbits(128):032x}"

    # Machines

    def add(
        self, slot: int, disk: Disk | None = None, *, extra: bool = False, names: dict[int, str] | None = None
    ) -> Machine:
        disk = disk or Disk(self.id())
        machine = Machine(len(self.machines) + 1, slot, disk, names or self.names, extra=extra)
        self.machines.append(machine)
        self._by_address[machine.address] = machine
        self.invariants.identities.add((slot, machine.disk.node_id))
        return machine

    def power_on(self, machine: Machine) -> None:
        if machine.core is not None or machine.gone:
            return
        machine.start(self.id(), self.now)
        self.invariants.seeds[machine.disk.node_id] = machine.seed_id
        self.note(f"{machine.name} starts with {told(machine.disk.votes)}")
        self.step(machine, Started(machine.disk.votes, self._clock(machine)))
        if machine.core is not None:
            self.invariants.started(machine)
            if machine.joins:
                self.step(machine, ClusterExists(self._clock(machine)))
            if self.registers is not None:
                self.registers.start(machine)
            self.after(self.chance.random(), self._round, machine, machine.life)

    def power_off(self, machine: Machine) -> None:
        if machine.core is None:
            return
        keep = self.chance.random() < 0.5
        writes = machine.asked is not None or machine.saving is not None
        if writes:
            self.counts["crash_after_vote"] += 1
        self.note(f"{machine.name} loses power" + (f", last write kept: {keep}" if writes else ""))
        self._cut(machine, keep=keep)

    def _cut(self, machine: Machine, *, keep: bool) -> None:
        voted, saved = machine.asked is not None and keep, machine.saving is not None and keep
        machine.stop(keep=keep)
        if voted:
            self.invariants.persisted(machine)
        if saved and self.registers is not None:
            self.registers.ledger.saved(machine)

    def crash_at_write(self, machine: Machine) -> bool:
        """Whether the machine loses power while it writes, as was planned for its next write."""
        if not machine.crash_on_vote:
            return False
        keep, machine.crash_on_vote = machine.crash_on_vote == 2, 0
        self.counts["crash_after_vote"] += 1
        self.note(f"{machine.name} loses power while it writes, kept: {keep}")
        self._cut(machine, keep=keep)
        self.after(self.chance.uniform(1, 8), self.power_on, machine)
        return True

    def write_fails(self) -> bool:
        if self.network.bad_disks and self.chance.random() < self.network.bad_disks:
            self.counts["failed_writes"] += 1
            return True
        return False

    def wipe(self, machine: Machine) -> None:
        self.power_off(machine)
        machine.disk = Disk(self.id())
        self.invariants.identities.add((machine.slot, machine.disk.node_id))
        self.note(f"{machine.name} was wiped: a new node")

    def copy_disk(self, machine: Machine) -> Disk:
        votes = machine.disk.votes
        return Disk(machine.disk.node_id, votes, votes.ready is not None, votes)

    def _clock(self, machine: Machine) -> float:
        return self.now + machine.clock_s

    def step(self, machine: Machine, event: Event) -> list[Action]:
        """Give the machine's core an event, do what it asks for, check everything."""
        core = machine.core
        assert core is not None
        self.events += 1
        actions = core.step(event)
        left: list[Action] = []
        for action in actions:
            if isinstance(action, Persist):
                self._persist(machine, action)
            elif isinstance(action, Answer):
                self._answer(machine, action)
            elif isinstance(action, Target):
                left.append(action)
            elif isinstance(action, Reply):
                self._reply(machine, action)
            else:
                self.note(f"{machine.name}: {action}")
        if machine.core is core:
            self.invariants.stands(machine)
            if self.registers is not None:
                self.registers.follow(machine)
        return left

    # Disk

    def _persist(self, machine: Machine, action: Persist) -> None:
        if machine.asked is not None:
            raise ViolationError(f"{machine.name} wants two writes at once")
        self.invariants.asked(machine, action.votes, self.now)
        machine.asked = action
        self.changed_s = self.now
        if self._trace is not None:
            self.note(f"{machine.name} persists {told(action.votes)}")
        if not self.crash_at_write(machine):
            self.after(self.chance.uniform(0.001, 0.05), self._written, machine, machine.life, action)

    def _written(self, machine: Machine, life: int, action: Persist) -> None:
        if machine.life != life:
            return
        machine.asked = None
        if self.write_fails():
            self.note(f"{machine.name} could not write")
            self.step(machine, PersistFailed(action.serial, self._clock(machine)))
            return
        freezes = machine.disk.votes.ready is not action.votes.ready
        machine.disk.votes = action.votes
        self.invariants.persisted(machine)
        if freezes:
            self.on_ready(machine)
            if machine.life != life:
                return
        self.step(machine, Persisted(action.serial, self._clock(machine)))

    # Network

    def send(self, sender: Machine, receiver: Machine, call: Callable[..., None], *arguments: object) -> bool:
        """Whether the message will arrive; it may still find the receiver gone."""
        network, chance = self.network, self.chance
        if sender.group != receiver.group or (network.loss and chance.random() < network.loss):
            return False
        delay_s = chance.uniform(0.001, 0.1)
        if network.slow and chance.random() < network.slow:
            delay_s += chance.uniform(0.1, TIMEOUT_S)
        self.after(delay_s, call, *arguments)
        if network.twice and chance.random() < network.twice:
            self.counts["duplicates"] += 1
            self.after(delay_s + chance.uniform(0, 5), call, *arguments)
        return True

    def _round(self, machine: Machine, life: int) -> None:
        if machine.life != life or machine.core is None:
            return
        machine.rounds += 1
        offers, peers = self._offers(machine)
        targets = self.step(machine, RoundBegan(offers, peers, PORT, self.chance, self._clock(machine)))
        if machine.life != life:
            return
        visits = [target for target in targets if isinstance(target, Target)]
        machine.open_visits = len(visits)
        if not visits:
            self._rest(machine)
        for target in visits:
            conversation = Conversation(self, machine, self._by_address.get(target.endpoint.address), target)
            conversation.begin()

    def _rest(self, machine: Machine) -> None:
        assert machine.core is not None
        pause_s = HURRIED_S if machine.core.hurried else PAUSE_S
        if machine.register is not None and machine.register.members is not None:
            pause_s = KEEPING_S
        self.after(pause_s + self.chance.random() * 0.2, self._round, machine, machine.life)

    def _offers(self, machine: Machine) -> tuple[dict[int, list[Endpoint]], list[Endpoint]]:
        """What mDNS of whoever is near says, some of it false; who visited; sometimes addresses from the seed.

        Of slots that a machine's plan does not have mDNS tells it nothing.
        """
        assert machine.core is not None
        names = machine.core.identity.names
        chance, lies = self.chance, self.network.lies
        offers: dict[int, list[Endpoint]] = {}
        for other in self.machines:
            if other is not machine and other.core is not None and other.group == machine.group:
                slot = other.slot
                if lies and chance.random() < lies:
                    slot = chance.randrange(1, len(self.names) + 1)
                if slot in names:
                    offers.setdefault(slot, []).append(other.endpoint)
        for slot, endpoint in machine.callers.items():
            offers.setdefault(slot, []).append(endpoint)
        peers = [chance.choice(self.machines).endpoint] if lies and chance.random() < lies else []
        return offers, peers

    def claim(self, machine: Machine, sender: Machine, slot: int, reply: Callable[..., None], *rest: object) -> None:
        """A claim reaches a machine; `reply(machine, verdict, *rest)` is called with the answer, if there is one."""
        self._request += 1
        node_id = rest[0]
        assert isinstance(node_id, str)
        self._requests[machine.index, self._request] = reply, (slot, sender.slot, *rest)
        self.step(machine, ClaimArrived(self._request, sender.slot, slot, node_id, self._clock(machine)))

    def _answer(self, machine: Machine, action: Answer) -> None:
        reply, (slot, sender_slot, node_id, *rest) = self._requests.pop((machine.index, action.request))
        assert isinstance(slot, int) and isinstance(sender_slot, int) and isinstance(node_id, str)
        verdict = action.verdict
        self.invariants.answered(machine, slot, sender_slot, node_id, verdict)
        if not isinstance(verdict, NotYours):
            machine.heard_slots[slot] = self.now
        if not isinstance(verdict, Held) and machine.disk.votes.claims.get(slot) == node_id:
            machine.heard[node_id] = self.now
        reply(verdict, *rest)

    def leave_out(self, machine: Machine, slots: tuple[int, ...]) -> None:
        """An operator at this machine wants to go on without those slots."""
        self.note(f"the operator of {machine.name} goes on without {slots}")
        self.invariants.named.update(slots)
        self.step(machine, LeaveOut(0, slots, self._clock(machine)))

    def _reply(self, machine: Machine, action: Reply) -> None:
        verdict = action.verdict
        if isinstance(verdict, LeftOut):
            self.counts["without"] += 1
            if machine.disk.votes.attempt < verdict.attempt:
                raise ViolationError(f"{machine.name} told of an attempt before it was persisted")
        elif isinstance(verdict, Declined) and len(verdict.reason) < 10:
            raise ViolationError(f"{machine.name} declines without a reason")

    def done(self, machine: Machine, life: int, event: Visited | VisitFailed) -> None:
        """A visit of the machine ended."""
        if machine.life != life or machine.core is None:
            return
        if isinstance(event, Visited):
            machine.hear(event.visit, self.now)
        self.step(machine, event)
        if self.registers is not None and isinstance(event, Visited) and machine.life == life:
            view = event.visit.view
            self.registers.learn(machine, view.node_id, view.members)  # type: ignore[attr-defined]
        if machine.life == life:
            machine.open_visits -= 1
            if machine.open_visits == 0:
                self._rest(machine)

    def again(self, machine: Machine, life: int, event: Visited) -> None:
        """An answer that comes a second time, late."""
        if machine.life == life and machine.core is not None:
            machine.hear(event.visit, self.now)
            self.step(machine, Visited(event.visit, event.expected, self._clock(machine)))


def told(votes: Votes) -> str:
    """Votes for the trace."""
    claims = " ".join(f"{slot}:{node[:4]}" for slot, node in sorted(votes.claims.items()))
    releases = "".join(f" {slot}→{node[:4]}" for slot, node in sorted(votes.releases.items()))
    ready = attempt = ""
    if votes.attempt.number:
        attempt = f" attempt {votes.attempt.number} without {votes.attempt.without} by {votes.attempt.by[:4]}"
    if votes.ready is not None:
        proposal = votes.ready.proposal
        ready = f" ready in {votes.ready.attempt.number} for {list(proposal.claims)} of {proposal.token[:4]}"
    return f"[{claims}{releases}{attempt}{ready}{f' founder {votes.founder}' if votes.founder else ''}]"
