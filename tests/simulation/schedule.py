"""A schedule: which faults happen to a site, drawn from a seed number; and how it must end."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from dataclasses import dataclass, field

from firstboot.cluster import core as core_module
from firstboot.cluster.events import WaitFor
from firstboot.cluster.founder import short
from tests.simulation.invariants import ViolationError
from tests.simulation.machines import Machine
from tests.simulation.world import World

RELEASE_AFTER_S = 8.0
MAX_STEP_S = 1.5
"""In the place of the core's 300 s and 30 s, so that simulated sites have a short life."""
PATIENCE_S = 90.0
"""From the end of all faults: about 40 rounds. By then a site has formed, or never will."""

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

    One slot, the anchor, has one machine that keeps its disk: without any such, two full sets of machines with the
    same seeds are two sites to each other, and no protocol can tell.
    """

    def __init__(self, seed: int, trace: list[str] | None = None) -> None:
        self.chance = random.Random(seed)
        self.world = World(self.chance, self.chance.choice(SLOT_COUNTS), trace)
        self.slots = tuple(self.world.names)
        self.anchor = self.chance.choice(self.slots)
        self.heal_s = self.chance.uniform(3, 18) if self.chance.random() < 0.85 else self.chance.uniform(18, 32)
        self.last_s = self.heal_s
        """After that nothing happens from outside any more."""
        self.shaken = False
        """Something happened to an identity: a machine was wiped, doubled or copied."""

    def run(self) -> bool:
        """Whether the site formed; raises ViolationError."""
        world, chance = self.world, self.chance
        for slot in self.slots:
            machine = world.add(slot)
            world.after(chance.uniform(0, 6) if chance.random() < 0.9 else self.heal_s, world.power_on, machine)
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
            fault = chance.choice(self.FAULTS)
            moment_s = chance.uniform(0, self.heal_s)
            world.after(moment_s, fault, self)
        if chance.random() < 0.1:
            world.on_ready = self._moment
        if chance.random() < 0.15:
            self.last_s = self.heal_s + chance.uniform(0, 25)
            world.after(self.last_s, self._surplus)
        world.after(self.heal_s, self._heal)
        world.after(self.heal_s + 1.5, self._look)
        world.run(self.heal_s + 26.0 + PATIENCE_S)
        return self._judge()

    # Faults

    def _any(self) -> Machine:
        return self.chance.choice(self.world.machines)

    def _loose(self) -> Machine | None:
        """A machine whose identity may be touched."""
        machine = self._any()
        return machine if machine.slot != self.anchor else None

    def _crash(self) -> None:
        machine = self._any()
        self.world.counts["crashes"] += 1
        self.world.power_off(machine)
        self.world.after(self.chance.uniform(0.2, 10), self.world.power_on, machine)

    def _crash_at_vote(self) -> None:
        self._any().crash_on_vote = self.chance.choice((1, 2))

    def _split(self) -> None:
        """Cut the network in two, often in even halves, for a while."""
        world, chance = self.world, self.chance
        world.counts["partitioned"] += 1
        machines = chance.sample(world.machines, len(world.machines))
        cut = len(machines) // 2 if chance.random() < 0.5 else chance.randrange(1, len(machines) + 1)
        for place, machine in enumerate(machines):
            machine.group = int(place < cut)
        world.note(f"the network splits: {[m.name for m in machines[:cut]]} | {[m.name for m in machines[cut:]]}")
        world.after(chance.uniform(1, 15), self._join)

    def _join(self) -> None:
        self.world.note("the network is whole")
        for machine in self.world.machines:
            machine.group = 0

    def _wipe(self) -> None:
        machine = self._loose()
        if machine is not None:
            self.world.counts["amnesia"] += 1
            self.shaken = True
            self.world.wipe(machine)
            self.world.after(self.chance.uniform(0.2, 10), self.world.power_on, machine)

    def _clone(self) -> None:
        machine = self._loose()
        if machine is not None:
            self._extra("clones", machine)

    def _copy(self) -> None:
        machine = self._loose()
        if machine is not None:
            self._extra("copies", machine, copied=True)

    def _usurp(self) -> None:
        """A machine is off for so long that a second one nearly gets its slot, and comes back."""
        machine = self._loose()
        if machine is not None:
            self.world.power_off(machine)
            self._extra("clones", machine)
            self.world.after(self.chance.uniform(0.5, 2) * RELEASE_AFTER_S, self.world.power_on, machine)

    def _surplus(self) -> None:
        machine = self._loose()
        if machine is not None:
            self._extra("surplus", machine)

    def _extra(self, kind: str, of: Machine, *, copied: bool = False) -> None:
        world = self.world
        world.counts[kind] += 1
        self.shaken = True
        extra = world.add(of.slot, world.copy_disk(of) if copied else None, extra=True)
        extra.group = of.group if self.chance.random() < 0.5 else 0
        world.note(f"{kind}: {extra.name} beside {of.name}")
        world.after(self.chance.uniform(0, 5), world.power_on, extra)

    def _moment(self, first: Machine) -> None:
        """The worst moment: the first machine that is ready is lost right then, while another one is off."""
        world, chance = self.world, self.chance
        world.on_ready = lambda _: None
        other = self._any()
        if other is not first:
            world.counts["crashes"] += 1
            world.power_off(other)
            world.after(chance.uniform(3, 8), world.power_on, other)
        lost_s = chance.uniform(0.1, 1.5)
        if first.slot != self.anchor:
            world.counts["amnesia"] += 1
            self.shaken = True
            world.after(lost_s, world.wipe, first)
        else:
            world.counts["crashes"] += 1
            world.after(lost_s, world.power_off, first)
        world.after(lost_s + chance.uniform(0.2, 6), world.power_on, first)
        self.last_s = max(self.last_s, world.now + lost_s + 6)

    def _set_clock(self) -> None:
        machine = self._any()
        machine.clock_s += self.chance.choice((-1, 1)) * 10 ** self.chance.uniform(0, 7)
        machine.steps += 1
        self.world.counts["clock_steps"] += 1
        self.world.note(f"the clock of {machine.name} is set")

    FAULTS = (
        _crash,
        _crash,
        _crash_at_vote,
        _crash_at_vote,
        _split,
        _split,
        _wipe,
        _clone,
        _usurp,
        _copy,
        _set_clock,
    )

    def _heal(self) -> None:
        """All faults stop; mostly only one machine of each slot stays, and every slot has one."""
        world, chance = self.world, self.chance
        world.note("all faults stop")
        network = world.network
        network.loss = network.slow = network.twice = network.lies = network.bad_disks = 0.0
        self._join()
        tidy = chance.random() < 0.8
        for slot in self.slots:
            machines = [machine for machine in world.machines if machine.slot == slot]
            kept = chance.choice(machines)
            for machine in machines:
                machine.crash_on_vote = 0
                if machine is kept or not tidy:
                    world.after(chance.uniform(0, 1), world.power_on, machine)
                else:
                    world.power_off(machine)
                    machine.gone = True

    # The end

    def _look(self) -> None:
        """End the run when all who are there decided, or when nothing was voted for long enough that nothing will."""
        world = self.world
        alive = [machine for machine in world.machines if machine.core is not None]
        formed = len(alive) >= len(self.slots) and all(machine.disk.votes.founder for machine in alive)
        world.halted = formed or world.now > max(self.last_s, world.changed_s) + QUIET_S
        world.after(0.5, self._look)

    def _judge(self) -> bool:
        alive = [machine for machine in self.world.machines if machine.core is not None]
        decided = {machine.slot for machine in alive if machine.disk.votes.founder is not None}
        waiting = [machine for machine in alive if machine.disk.votes.founder is None]
        reasons = {machine.name: machine.core.standing() for machine in waiting if machine.core is not None}
        for name, standing in reasons.items():
            self.world.note(f"at the end {name}: {standing}")
            if not isinstance(standing, WaitFor) or not standing.reason:
                raise ViolationError(f"{name} waits without a reason")
        formed = decided == set(self.slots)
        if formed:
            self._extras_wait_by_name(waiting)
            return True
        doubled = len(alive) > len(self.slots)
        frozen = any(machine.disk.votes.ready is not None for machine in alive)
        if not self.shaken or not (doubled or frozen):
            raise ViolationError(f"the site did not form: {reasons}")
        known = {short(machine.disk.node_id) for machine in self.world.machines}
        known |= {short(node) for _, node in self.world.invariants.identities}
        texts = [standing.reason for standing in reasons.values() if isinstance(standing, WaitFor)]
        if not any(node in text for text in texts for node in known) and not any("run " in text for text in texts):
            raise ViolationError(f"the site waits, and nobody says for whom: {reasons}")
        return False

    def _extras_wait_by_name(self, waiting: list[Machine]) -> None:
        for machine in waiting:
            assert machine.core is not None
            standing = machine.core.standing()
            assert isinstance(standing, WaitFor)
            holder = next(m for m in self.world.machines if m.slot == self.slots[0] and m.disk.votes.founder)
            incumbent = holder.disk.votes.claims[machine.slot]
            if short(incumbent) not in standing.reason and "run" not in standing.reason:
                raise ViolationError(f"{machine.name} waits without naming the incumbent: {standing}")


def simulate(seed: int, *, traced: bool = False) -> Result:
    """Run the schedule of a seed number; the same number is the same run, event by event."""
    core_module.RELEASE_AFTER_S, core_module.MAX_STEP_S = RELEASE_AFTER_S, MAX_STEP_S
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
    result.events = schedule.world.events
    return result
