"""What happens to a simulated site from outside: power, disks, cables, clocks, second machines."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.machines import PATIENCE, Disk, Machine
from tests.simulation.world import World


class Faults:
    """Draws single faults. Only machines of `loose` slots are wiped, doubled or copied."""

    def __init__(self, world: World, chance: random.Random, loose: frozenset[int]) -> None:
        self.world = world
        self.chance = chance
        self.loose = loose
        self.shaken = False
        """Something happened to an identity: a machine was wiped, doubled or copied."""
        self.copying = True
        """Disks are copied, too."""
        self.last_s = 0.0
        """The last moment at which something is planned to happen."""

    def any(self) -> Machine:
        return self.chance.choice(self.world.machines)

    def any_loose(self) -> Machine | None:
        """A machine whose identity may be touched."""
        machine = self.any()
        return machine if machine.slot in self.loose else None

    def draw(self) -> Callable[[], None]:
        """One fault, to be called when it is to happen."""
        return self.chance.choice(self._all)

    @property
    def _all(self) -> tuple[Callable[[], None], ...]:
        return (
            self.crash,
            self.crash,
            self.crash_at_vote,
            self.crash_at_vote,
            self.split,
            self.split,
            self.wipe,
            self.clone,
            self.usurp,
            self.copy,
            self.set_clock,
        )

    def crash(self) -> None:
        machine = self.any()
        self.world.counts["crashes"] += 1
        self.world.power_off(machine)
        self.world.after(self.chance.uniform(0.2, 10), self.world.power_on, machine)

    def crash_at_vote(self) -> None:
        self.any().crash_on_vote = self.chance.choice((1, 2))

    def split(self) -> None:
        """Cut the network in two, often in even halves, for a while."""
        world, chance = self.world, self.chance
        world.counts["partitioned"] += 1
        machines = chance.sample(world.machines, len(world.machines))
        cut = len(machines) // 2 if chance.random() < 0.5 else chance.randrange(1, len(machines) + 1)
        for place, machine in enumerate(machines):
            machine.group = int(place < cut)
        if 2 * cut == len(machines):
            world.counts["halved"] += 1
        world.note(f"the network splits: {[m.name for m in machines[:cut]]} | {[m.name for m in machines[cut:]]}")
        world.after(chance.uniform(1, 15), self.join)

    def join(self) -> None:
        self.world.note("the network is whole")
        for machine in self.world.machines:
            machine.group = 0

    def wipe(self) -> None:
        machine = self.any_loose()
        if machine is not None:
            self.world.counts["amnesia"] += 1
            self.shaken = True
            self.world.wipe(machine)
            self.world.after(self.chance.uniform(0.2, 10), self.world.power_on, machine)

    def clone(self) -> None:
        machine = self.any_loose()
        if machine is not None:
            self._extra("clones", machine)

    def copy(self) -> None:
        """A second machine gets a copy of a disk, often of that which is to found."""
        machine = self.any_loose() if self.copying else None
        if self.copying and 1 in self.loose and self.chance.random() < 0.5:
            machine = self.world.machines[0]
        if machine is not None:
            self._extra("copies", machine, copied=True)

    def usurp(self) -> None:
        """A machine is off for so long that a second one nearly gets its slot, and comes back."""
        machine = self.any_loose()
        if machine is not None:
            self.world.power_off(machine)
            self._extra("clones", machine)
            self.world.after(self.chance.uniform(0.5, 2) * PATIENCE.release_after_s, self.world.power_on, machine)

    def surplus(self) -> None:
        machine = self.any_loose()
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

    def moment(self, first: Machine) -> None:
        """The worst moment: the first machine that is ready is lost right then, while another one is off."""
        world, chance = self.world, self.chance
        world.on_ready = lambda _: None
        other = self.any()
        if other is not first:
            world.counts["crashes"] += 1
            world.power_off(other)
            world.after(chance.uniform(3, 8), world.power_on, other)
        lost_s = chance.uniform(0.1, 1.5)
        if first.slot in self.loose:
            world.counts["amnesia"] += 1
            self.shaken = True
            world.after(lost_s, world.wipe, first)
        else:
            world.counts["crashes"] += 1
            world.after(lost_s, world.power_off, first)
        world.after(lost_s + chance.uniform(0.2, 6), world.power_on, first)
        self.last_s = max(self.last_s, world.now + lost_s + 6)

    def twins(self, first: Machine) -> None:
        """A disk was copied a moment before its node was ready; now the one, now the other machine runs."""
        world, chance = self.world, self.chance
        if first.slot not in self.loose:
            return
        world.on_ready = lambda _: None
        world.counts["copies"] += 1
        self.shaken = True
        before = replace(first.disk.votes, ready=None, token=None, founder=None)
        twin = world.add(first.slot, Disk(first.disk.node_id, before, False, before), extra=True)
        world.note(f"{twin.name} is a copy of {first.name}, made a moment before")
        at_s = 0.0
        for running, resting in ((twin, first), (first, twin), (twin, first))[: chance.randint(1, 3)]:
            world.after(at_s, world.power_off, resting)
            world.after(at_s, world.power_on, running)
            at_s += chance.uniform(0.2, 3)
        self.last_s = max(self.last_s, world.now + at_s)

    def set_clock(self) -> None:
        machine = self.any()
        machine.clock_s += self.chance.choice((-1, 1)) * 10 ** self.chance.uniform(0, 7)
        machine.steps += 1
        self.world.counts["clock_steps"] += 1
        self.world.note(f"the clock of {machine.name} is set")
