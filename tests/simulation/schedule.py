"""A schedule: which faults happen to a site, drawn from a seed number; and how it must end."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from dataclasses import dataclass, field

from firstboot.cluster.events import Outside, WaitFor
from firstboot.cluster.founder import short
from tests.simulation.faults import Faults
from tests.simulation.invariants import ViolationError
from tests.simulation.later import Later
from tests.simulation.machines import Machine
from tests.simulation.operators import Operators
from tests.simulation.world import World

PATIENCE_S = 120.0
"""From the end of all faults: about 50 rounds. By then a site has formed, or never will."""

QUIET_S = 30.0
"""Longer than a release takes: 8 s of silence, and rounds and votes for it."""

SLOT_COUNTS = (2, 2, 3, 3, 3, 3, 4, 4, 5, 6)


@dataclass(slots=True)
class Result:
    """How one schedule ended; `violation` is empty when all invariants held."""

    seed: int
    formed: bool = False
    kinds: Counter[str] = field(default_factory=Counter)
    violation: str = ""
    trace: list[str] = field(default_factory=list)
    events: int = 0


class Schedule:
    """Draws the faults of one seed and lets them happen.

    One slot, the anchor, has one machine that keeps its disk, and no operator leaves it out: without any such, two
    sets of machines with the same seeds are two sites to each other, and no protocol can tell. Or there is none, and
    every machine keeps its disk: then operators may leave out whom they like.
    """

    def __init__(self, seed: int, trace: list[str] | None = None) -> None:
        self.chance = random.Random(seed)
        self.world = World(self.chance, self.chance.choice(SLOT_COUNTS), trace)
        self.slots = tuple(self.world.names)
        self.anchor = self.chance.choice(self.slots) if self.chance.random() < 0.75 else None
        others = frozenset(slot for slot in self.slots if slot != self.anchor)
        self.faults = Faults(self.world, self.chance, others if self.anchor is not None else frozenset())
        self.operators = Operators(self.world, self.chance, others)
        self.heal_s = self.chance.uniform(3, 18) if self.chance.random() < 0.85 else self.chance.uniform(18, 32)
        self.faults.last_s = self.heal_s
        self.never: set[int] = set()
        """Slots whose machines don't come, or not in time."""
        self.rescued = False
        self.later = Later(self.world, self.chance, self.faults) if self.chance.random() < 0.4 else None
        """What happens after the founding."""
        self.ended = False
        """The judgement about the founding is spoken."""
        self.relayed: list[Machine] = []

    def run(self) -> bool:
        """Whether the site formed; raises ViolationError."""
        world, chance = self.world, self.chance
        if self.later is not None:
            world.registers, self.faults.copying = self.later.registers, False
        self._draw_absent()
        for slot in self.slots:
            machine = world.add(slot)
            if slot not in self.never:
                at_s = chance.uniform(0, 6) if chance.random() < 0.9 else self.heal_s
                world.after(at_s, world.power_on, machine)
        network = world.network
        if chance.random() < 0.6:
            network.loss = chance.choice((0.02, 0.1, 0.3))
            network.slow = chance.choice((0.0, 0.1, 0.3))
            network.twice = chance.choice((0.0, 0.1, 0.3))
            network.lies = chance.choice((0.0, 0.1, 0.4))
            world.counts.update(lossy=1, liars=network.lies > 0)
        if chance.random() < 0.15:
            network.bad_disks = 0.1
        for _ in range(chance.choice((0, 1, 2, 2, 3, 3, 4, 5, 6, 8))):
            world.after(chance.uniform(0, self.heal_s), self.faults.draw())
        if chance.random() < 0.3:
            for _ in range(chance.choice((1, 2, 4))):
                world.after(chance.uniform(2, self.heal_s + 4), self.operators.meddle)
        if chance.random() < 0.15:
            moments = (self.faults.moment, self.faults.moment, self.faults.twins)
            world.on_ready = chance.choice(moments[:2] if self.later is not None else moments)
        if chance.random() < 0.15:
            self.faults.last_s = self.heal_s + chance.uniform(0, 25)
            world.after(self.faults.last_s, self.faults.surplus)
        world.after(self.heal_s, self._heal)
        world.after(self.heal_s + 1.5, self._look)
        world.run(self.heal_s + 26.0 + PATIENCE_S)
        formed = self._judge()
        if formed and self.later is not None:
            self._live_on(self.later)
        return formed

    def _live_on(self, later: Later) -> None:
        world = self.world
        world.halted, self.ended = False, True
        world.counts["lived_on"] += 1
        later.begin()
        world.run(world.now + 300.0)
        later.judge()

    def _draw_absent(self) -> None:
        """Some machines are dead on arrival, come late, or die for good while the votes are being frozen."""
        chance, most = self.chance, (len(self.slots) - 1) // 2
        if most == 0 or chance.random() > 0.25:
            return
        if chance.random() < 0.2:
            self.world.counts["absent"] += 1
            self.world.on_ready = self._relay
            self.world.after(chance.uniform(2, self.heal_s), self.operators.insist)
            return
        gone = chance.sample(sorted(self.operators.leavable), chance.randint(1, most))
        self.operators.absent.update(gone)
        self.world.counts["absent"] += 1
        self.world.after(chance.uniform(2, self.heal_s), self.operators.insist)
        fate = chance.random()
        if fate < 0.3:
            self.world.on_ready = self._die
            return
        self.never.update(gone)
        if fate < 0.6:
            self.faults.last_s = self.heal_s + chance.uniform(0, 25)
            self.world.after(self.faults.last_s, self._come)

    def _relay(self, ready: Machine) -> None:
        """One after the other is lost right after it was ready, and the one before comes back in its place."""
        world, operators = self.world, self.operators
        if ready.slot not in operators.leavable or ready.slot in operators.absent:
            return
        operators.absent = self.never = {ready.slot}
        world.after(self.chance.uniform(0, 1.5), self._dead)
        if self.relayed:
            self.relayed[-1].gone = False
            world.after(self.chance.uniform(0, 12), world.power_on, self.relayed[-1])
        self.relayed.append(ready)
        if len(self.relayed) == 3:
            world.on_ready = lambda _: None

    def _die(self, _: Machine) -> None:
        self.world.on_ready = lambda _: None
        self.never.update(self.operators.absent)
        self.world.after(self.chance.uniform(0, 1.5), self._dead)

    def _dead(self) -> None:
        for machine in self.world.machines:
            if machine.slot in self.never:
                self.world.power_off(machine)
                machine.gone = True

    def _come(self) -> None:
        """Those who did not come in time."""
        late = self.operators.absent
        self.never -= late
        self.operators.absent = set()
        for machine in self.world.machines:
            if machine.slot in late and not machine.gone:
                self.world.power_on(machine)

    def _heal(self) -> None:
        """All faults stop; mostly only one machine of each slot stays, and every slot has one that is to have one."""
        world, chance = self.world, self.chance
        world.note("all faults stop")
        network = world.network
        network.loss = network.slow = network.twice = network.lies = network.bad_disks = 0.0
        self.faults.join()
        tidy = chance.random() < 0.8
        for slot in self.slots:
            machines = [machine for machine in world.machines if machine.slot == slot and not machine.gone]
            kept = chance.choice(machines) if machines else None
            for machine in machines:
                machine.crash_on_vote = 0
                if slot in self.never:
                    world.power_off(machine)
                elif machine is kept or not tidy:
                    world.after(chance.uniform(0, 1), world.power_on, machine)
                else:
                    world.power_off(machine)
                    machine.gone = True

    # The end

    def _alive(self) -> list[Machine]:
        return [machine for machine in self.world.machines if machine.core is not None]

    def _is_member(self, machine: Machine) -> bool:
        return self.world.invariants.chosen_claims.get(machine.slot) == machine.disk.node_id

    def _formed(self) -> bool:
        """Whether a cluster was decided, and all of it who are alive know."""
        members = [machine for machine in self._alive() if self._is_member(machine)]
        return bool(members) and all(machine.disk.votes.founder or _outside(machine) for machine in members)

    def _look(self) -> None:
        """End the run when all who are there decided, or when nothing was voted for long enough that nothing will."""
        if self.ended:
            return
        world, alive = self.world, self._alive()
        quiet = world.now > max(self.faults.last_s, world.changed_s) + QUIET_S
        if quiet and not self._formed() and not self.rescued and not self._doubled():
            self.rescued = self.operators.rescue(self.anchor)
            if self.rescued:
                world.changed_s = world.now
                quiet = False
        complete = self._formed() and all(machine.disk.votes.founder for machine in alive)
        world.halted = quiet or (complete and world.now > self.faults.last_s)
        world.after(0.5, self._look)

    def _doubled(self) -> bool:
        slots = [machine.slot for machine in self._alive()]
        return len(set(slots)) < len(slots)

    def _judge(self) -> bool:
        alive = self._alive()
        reasons = {}
        for machine in alive:
            assert machine.core is not None
            standing = machine.core.standing()
            if isinstance(standing, WaitFor):
                self.world.note(f"at the end {machine.name}: {standing}")
                reasons[machine.name] = standing.reason
                if not standing.reason:
                    raise ViolationError(f"{machine.name} waits without a reason")
        if self._formed():
            for machine in alive:
                self._waits_by_name(machine, reasons.get(machine.name, ""))
            return True
        frozen = any(machine.disk.votes.ready is not None for machine in alive)
        torn = any("two runs" in reason or "is ready for run" in reason for reason in reasons.values())
        hopeless = 2 * len(self.operators.intact()) <= len(self.slots)
        stuck = self.faults.shaken and (self._doubled() or hopeless or (frozen and not self.rescued))
        if not torn and not stuck:
            raise ViolationError(f"the site did not form: {reasons}")
        known = {short(machine.disk.node_id) for machine in self.world.machines}
        known |= {short(node) for _, node in self.world.invariants.identities}
        words = {"run", "wants to go on without", "founded without", *known}
        words |= {"not answer", "not appeared"} if hopeless else set()
        if not any(word in text for text in reasons.values() for word in words):
            raise ViolationError(f"the site waits, and nobody says for whom: {reasons}")
        return False

    def _waits_by_name(self, machine: Machine, reason: str) -> None:
        """Who is no member of the formed cluster says who is, or that it goes without."""
        if self._is_member(machine):
            return
        self.world.counts["late"] += 1
        incumbent = self.world.invariants.chosen_claims.get(machine.slot)
        words = ("without", "run") if incumbent is None else (short(incumbent), "run")
        if not any(word in reason for word in words):
            raise ViolationError(f"{machine.name} waits without naming the incumbent: {reason}")


def _outside(machine: Machine) -> bool:
    return machine.core is not None and isinstance(machine.core.standing(), Outside)


def simulate(seed: int, *, traced: bool = False) -> Result:
    """Run the schedule of a seed number; the same number is the same run, event by event."""
    trace: list[str] | None = [] if traced else None
    schedule = Schedule(seed, trace)
    result = Result(seed, trace=trace or [])
    try:
        result.formed = schedule.run()
    except ViolationError as error:
        result.violation = str(error)
    except Exception as error:  # a core that fails on an event is a violation too
        place = traceback.extract_tb(error.__traceback__)[-1]
        result.violation = f"{type(error).__name__}: {error} ({place.name}, line {place.lineno})"
    result.trace = trace or []
    result.kinds = schedule.world.counts
    result.kinds["releases"] = schedule.world.invariants.releases
    result.kinds["unfrozen"] = schedule.world.invariants.unfrozen
    result.events = schedule.world.events
    return result
