"""What people do at a simulated site: they leave out slots whose machines don't come, rightly or not."""

from __future__ import annotations

import random

from tests.simulation.machines import Machine
from tests.simulation.world import World

AGAIN_S = 4.0


class Operators:
    """They never name a slot outside of `leavable`."""

    def __init__(self, world: World, chance: random.Random, leavable: frozenset[int]) -> None:
        self.world = world
        self.chance = chance
        self.leavable = leavable
        self.absent: set[int] = set()
        """Slots whose machines are known not to come."""

    def meddle(self) -> None:
        """Somebody leaves a slot out without looking whether its machine is there."""
        machine = self._console()
        slots = sorted(self.leavable - {machine.slot}) if machine is not None else []
        if machine is not None and slots:
            count = 1 if self.chance.random() < 0.8 else min(2, len(slots))
            self.world.leave_out(machine, tuple(self.chance.sample(slots, count)))

    def insist(self) -> None:
        """Somebody who knows what does not come leaves it out, again and again, at one node or another."""
        machine = self._console()
        gone = {slot for slot in self.absent if not any(m.core for m in self.world.machines if m.slot == slot)}
        if machine is not None and gone and machine.slot not in gone and machine.disk.votes.founder is None:
            self.world.leave_out(machine, tuple(sorted(gone)))
        self.world.after(AGAIN_S * self.chance.uniform(0.5, 1.5), self.insist)

    def rescue(self, anchor: int | None) -> bool:
        """Turn off for good who can't agree to what the others are ready for, and go on without; False if no use."""
        world, slots, intact = self.world, tuple(self.world.names), self.intact()
        lost = set(slots) - intact
        if not lost or 2 * len(intact) <= len(slots) or not lost <= self.leavable or anchor in lost:
            return False
        world.note(f"the operator turns off slots {sorted(lost)} for good")
        for machine in world.machines:
            if machine.slot in lost:
                world.power_off(machine)
                machine.gone = True
        if not self.absent:
            world.after(AGAIN_S, self.insist)
        self.absent |= lost
        world.counts["rescued"] += 1
        return True

    def intact(self) -> set[int]:
        """Slots whose machine is there, and is the one that who is ready voted for and is ready for."""
        alive = [machine for machine in self.world.machines if machine.core is not None]
        frozen = [m.disk.votes.ready.proposal.claims for m in alive if m.disk.votes.ready is not None]
        frozen += [m.disk.votes.claims for m in alive if m.disk.votes.ready is not None]
        return {
            m.slot for m in alive if all(claims.get(m.slot, m.disk.node_id) == m.disk.node_id for claims in frozen)
        }

    def _console(self) -> Machine | None:
        alive = [machine for machine in self.world.machines if machine.core is not None]
        return self.chance.choice(alive) if alive else None
