"""What happens to a cluster after its founding: changes by operators, faults meanwhile, and how that must end."""

from __future__ import annotations

import random

from firstboot.cluster.changes import (
    AddSlot,
    Change,
    ClaimSlot,
    CloseSlot,
    Refusal,
    ReleaseSlot,
    RemoveNode,
    RetireAuthority,
    RotateAuthority,
)
from firstboot.cluster.members import Members
from firstboot.cluster.proceedings import Denied, GivenUp, Made
from tests.simulation.faults import Faults
from tests.simulation.invariants import ViolationError
from tests.simulation.ledger import Wish
from tests.simulation.machines import Machine
from tests.simulation.registers import Registers
from tests.simulation.world import World

SETTLE_S = 20.0
"""From the end of the faults to the last change that is tried: what was wanted before is made or given up by then."""

TOUR_S = 20.0
"""Within that time every machine visits every other one, some of them not answering."""


class Later:
    """Begins once the cluster is founded. Members may be wiped or destroyed, but none is copied."""

    def __init__(self, world: World, chance: random.Random, faults: Faults) -> None:
        self.world = world
        self.chance = chance
        self.faults = faults
        self.registers = Registers(world)
        self._issued = 0
        self._probe: Wish | None = None

    @property
    def latest(self) -> Members:
        members = self.registers.ledger.latest
        assert members is not None
        return members

    def begin(self) -> None:
        """Faults and changes for a while, then none."""
        world, chance = self.world, self.chance
        span_s = chance.uniform(4, 16)
        network = world.network
        if chance.random() < 0.6:
            network.loss, network.slow = chance.choice((0.02, 0.1, 0.3)), chance.choice((0.0, 0.1, 0.3))
            network.twice, network.bad_disks = chance.choice((0.0, 0.1, 0.3)), chance.choice((0.0, 0.0, 0.1))
        wishes = (self._release, self._release, self._remove, self._rotate, self._retire, self._add, self._close)
        storm = chance.random() < 0.2
        if storm:  # everybody wants something at once, and much gets lost
            network.loss, span_s = 0.3, max(span_s, 8.0)
        for _ in range(chance.choice((4, 6, 8)) if storm else chance.choice((1, 2, 3, 4, 6))):
            at_s = chance.uniform(0, 2.0 if storm else span_s)
            wish = chance.choice((self._rotate, self._compete) if storm else (*wishes, self._read, self._compete))
            world.after(at_s, wish)
        faults = self.faults
        happenings = (faults.crash, faults.crash, faults.crash_at_vote, faults.split, faults.split, self._lose)
        for _ in range(chance.choice((0, 1, 2, 2, 3, 4))):
            world.after(chance.uniform(0, span_s), chance.choice(happenings))
        world.after(span_s, self._heal)

    # Operators

    def _alive(self) -> list[Machine]:
        return [machine for machine in self.world.machines if machine.register is not None]

    def _console(self) -> tuple[Machine, Members] | None:
        """A machine at which an operator sits, and what it shows; mostly a member."""
        alive = [machine for machine in self._alive() if machine.disk.register.members is not None]
        members = [machine for machine in alive if machine.disk.node_id in self.latest.nodes]
        chosen = members if members and self.chance.random() < 0.9 else alive
        if not chosen:
            return None
        machine = self.chance.choice(chosen)
        shown = machine.disk.register.members
        assert shown is not None
        return machine, shown

    def _want(self, machine: Machine, change: Change | None, kind: str) -> None:
        if machine.register is not None:
            self.world.counts[kind] += 1
            self.registers.want(machine, change)

    def _release(self) -> None:
        console = self._console()
        if console is not None:
            machine, shown = console
            slot = self.chance.choice(sorted(shown.slots))
            self._replace(machine, slot, shown)

    def _replace(self, machine: Machine, slot: int, shown: Members) -> None:
        """Release a slot to a new seed; then its machine, or another one, comes with that."""
        chance, world = self.chance, self.world
        seed = self._new_seed(slot)
        only = seed if chance.random() < 0.7 else None
        self._want(machine, ReleaseSlot(slot, shown.slots[slot].node_id, only), "released")
        holders = [other for other in world.machines if other.disk.node_id == shown.slots[slot].node_id]
        world.after(chance.uniform(0, 4), self._reseed, slot, seed, holders[0] if holders else None)

    def _reseed(self, slot: int, seed: str, holder: Machine | None) -> None:
        world, chance = self.world, self.chance
        if holder is None or chance.random() < 0.4:
            machine = world.add(slot, extra=True, names={n: f"node{n}" for n in range(1, slot + 1)} | world.names)
        else:
            machine = holder
            world.wipe(machine)
            machine.gone, machine.names = False, world.names | machine.names | self._names()
        machine.seed_id, machine.joins = seed, True
        world.after(chance.uniform(0, 4), world.power_on, machine)

    def _names(self) -> dict[int, str]:
        """What a seed that is made now says of the slots."""
        return {slot: f"node{slot}" for slot in self.latest.slots}

    def _remove(self) -> None:
        console = self._console()
        if console is not None:
            machine, shown = console
            self._want(machine, RemoveNode(self.chance.choice(sorted(shown.nodes))), "removed")

    def _rotate(self) -> None:
        console = self._console()
        if console is not None:
            machine, shown = console
            before = shown.authorities[0] if shown.authorities else ""
            self._want(machine, RotateAuthority(self.world.id(), before), "rotated")

    def _retire(self) -> None:
        console = self._console()
        if console is not None and console[1].authorities:
            machine, shown = console
            self._want(machine, RetireAuthority(self.chance.choice(shown.authorities)), "rotated")

    def _add(self) -> None:
        console = self._console()
        if console is not None:
            machine, shown = console
            slot = max(shown.slots) + 1
            seed = self._new_seed(slot)
            self._want(machine, AddSlot(slot, f"node{slot}", seed if self.chance.random() < 0.5 else None), "added")
            world = self.world
            machine = world.add(slot, extra=True, names={n: f"node{n}" for n in range(1, slot + 1)})
            machine.seed_id, machine.joins = seed, True
            world.after(self.chance.uniform(0, 5), world.power_on, machine)

    def _close(self) -> None:
        console = self._console()
        if console is not None:
            machine, shown = console
            self._want(machine, CloseSlot(self.chance.choice(sorted(shown.slots))), "closed")

    def _read(self) -> None:
        console = self._console()
        if console is not None:
            self._want(console[0], None, "read")

    def _compete(self) -> None:
        """Two operators at two machines, at once, want what does not go together."""
        first, second = self._console(), self._console()
        if first is None or second is None:
            return
        self.world.counts["competed"] += 1
        slot = self.chance.choice(sorted(first[1].slots))
        self._replace(first[0], slot, first[1])
        if slot in second[1].slots and self.chance.random() < 0.5:
            self._replace(second[0], slot, second[1])
        else:
            node = second[1].slots[slot].node_id if slot in second[1].slots else None
            self._want(second[0], RemoveNode(node) if node is not None else CloseSlot(slot), "removed")

    def _new_seed(self, slot: int) -> str:
        self._issued += 1
        return f"{slot:016x}{self._issued:016x}"

    # Faults

    def _lose(self) -> None:
        """A member is destroyed, or wiped; mostly only while enough are left, and often it is the founder."""
        world, chance, latest = self.world, self.chance, self.latest
        holders = {m.disk.node_id: m for m in world.machines if m.disk.node_id in latest.nodes and not m.gone}
        if not holders or (2 * (len(holders) - 1) <= len(latest.nodes) and chance.random() < 0.85):
            return
        founder = latest.slots[latest.founder].node_id
        machine = holders.get(founder or "") if chance.random() < 0.4 else chance.choice(list(holders.values()))
        if machine is None:
            return
        self.faults.shaken = True
        if chance.random() < 0.5 or machine.slot not in self.faults.loose:
            world.counts["destroyed"] += 1
            world.note(f"{machine.name} is destroyed")
            world.power_off(machine)
            machine.gone = True
        else:
            world.counts["later_amnesia"] += 1
            world.wipe(machine)
            world.after(chance.uniform(0.2, 6), world.power_on, machine)

    # The end

    def _heal(self) -> None:
        world = self.world
        world.note("all faults stop")
        network = world.network
        network.loss = network.slow = network.twice = network.lies = network.bad_disks = 0.0
        self.faults.join()
        for machine in world.machines:
            machine.crash_on_vote = 0
            world.after(self.chance.uniform(0, 1), world.power_on, machine)
        world.after(SETTLE_S, self._try)

    def _try(self) -> None:
        """The last change: it must be made, if most members are there."""
        alive = [(machine, machine.disk.register.members) for machine in self._alive()]
        members = [(m, shown) for m, shown in alive if shown is not None and m.disk.node_id in shown.nodes]
        members = [(m, shown) for m, shown in members if m.disk.node_id in self.latest.nodes]
        if members:
            machine, shown = self.chance.choice(members)
            before = shown.authorities[0] if shown.authorities else ""
            self.registers.want(machine, RotateAuthority(self.world.id(), before))
            self._probe = self.registers.ledger.wishes[-1]
            self._await()
        else:
            self._end()

    def _await(self) -> None:
        """End early: what was tried is done, and everybody had the time to hear of it."""
        end = self._probe.end if self._probe is not None else None
        if isinstance(end, GivenUp) and "this node" in end.reason:
            self.world.after(1.0, self._try)  # it was removed just then
        elif end is not None:
            self.world.after(TOUR_S, self._end)
        else:
            self.world.after(1.0, self._await)

    def _end(self) -> None:
        self.world.halted = True

    def judge(self) -> None:
        """What must have come of it; raises ViolationError.

        An epoch that only lost members and strangers know is for those who are left as if it were not made.
        """
        latest, probe = self.latest, self._probe
        shown = [m.disk.register.members for m in self._alive() if m.disk.node_id in latest.nodes]
        known = max((m for m in shown if m is not None), key=lambda m: m.epoch, default=latest)
        there = {machine.disk.node_id: machine for machine in self._alive() if machine.disk.node_id in known.nodes}
        if 2 * len(there) <= len(known.nodes) or self._needs_the_lost(there):
            self.world.counts["no_majority"] += 1
            if probe is not None and isinstance(probe.end, GivenUp) and "needed" not in probe.end.reason:
                raise ViolationError(f"most members are lost, but it says {probe.end.reason}")
            return
        if probe is None or not isinstance(probe.end, Made | Denied):
            raise ViolationError(f"most members are there, but the last change is not made: {probe}")
        for machine in self._alive():
            if machine.disk.node_id in latest.nodes and machine.disk.register.members != latest:
                raise ViolationError(f"{machine.name} does not know epoch {latest.epoch}")
        for machine in self._alive():
            claim = ClaimSlot(machine.slot, machine.seed_id, machine.disk.node_id)
            outcome = claim.apply(latest)
            if not isinstance(outcome, Refusal) and outcome != latest:
                raise ViolationError(f"{machine.name} is not admitted, though its slot is open")
            if isinstance(outcome, Refusal) and not outcome.reason:
                raise ViolationError(f"{machine.name} is not admitted, and nobody says why")
        self.world.counts["epochs"] += latest.epoch - 1

    def _needs_the_lost(self, there: dict[str, Machine]) -> bool:
        """A consent to a next epoch whose members are mostly not there: it can't be settled, nor another one."""
        disks = [machine.disk.register for machine in there.values()]
        pending = [disk.accepted.members for disk in disks if disk.accepted is not None]
        alive = {machine.disk.node_id for machine in self._alive()}
        return any(2 * len(set(members.nodes) & alive) <= len(members.nodes) for members in pending)
