"""What must hold after every event, whatever the faults were."""

from __future__ import annotations

from firstboot.cluster import core as core_module
from firstboot.cluster.events import Granted, Verdict, Votes, WaitFor
from tests.simulation.machines import Disk, Machine


class ViolationError(AssertionError):
    """An invariant does not hold."""


class Invariants:
    """Follows the durable facts of a run, apart from what the nodes believe."""

    def __init__(self, slots: tuple[int, ...]) -> None:
        self.slots = slots
        self.first = min(slots)
        self.identities: set[tuple[int, str]] = set()
        """Every slot and node id that really exist."""
        self.agreed: dict[tuple[int, str], set[int]] = {}
        """Slot and claimant → slots whose holder persisted that it agrees."""
        self.ready: set[tuple[int, str, str, tuple[tuple[int, str], ...]]] = set()
        self.voted: set[tuple[int, str, tuple[tuple[int, str], ...]]] = set()
        """Every set of claims that a node ever had on disk."""
        self.decided: tuple[object, ...] | None = None
        self.founders: list[Disk] = []
        self.releases = 0

    def started(self, machine: Machine) -> None:
        core = machine.core
        assert core is not None
        if core.votes != machine.disk.votes or machine.disk.votes != machine.disk.history:
            raise ViolationError(f"{machine.name} forgot its votes at its start")

    def answered(self, machine: Machine, slot: int, sender_slot: int, node_id: str, verdict: Verdict) -> None:
        if isinstance(verdict, Granted):
            if machine.disk.votes.claims.get(slot) != node_id:
                raise ViolationError(f"{machine.name} told of a vote for slot {slot} before it was persisted")
            if slot != sender_slot:
                raise ViolationError(f"{machine.name} took slot {sender_slot}'s claim for slot {slot}")

    def asked(self, machine: Machine, after: Votes, now: float) -> None:
        """A node asked for votes to be persisted."""
        before = machine.disk.votes
        for slot, claimant in after.releases.items():
            if before.releases.get(slot) != claimant:
                silent_s = now - machine.heard.get(before.claims[slot], -1e9)
                if silent_s < core_module.RELEASE_AFTER_S - core_module.MAX_STEP_S * machine.steps - 0.5:
                    raise ViolationError(f"{machine.name} gives slot {slot} away, whose holder it heard of just now")

    def persisted(self, machine: Machine) -> None:
        """Votes became durable: compare with what was durable before."""
        disk = machine.disk
        before, after = disk.history, disk.votes
        disk.history = after
        if before.claims is not after.claims:
            self._claims(machine, before, after)
        for slot, node_id in {**after.claims, **after.releases}.items():
            self.agreed.setdefault((slot, node_id), set()).add(machine.slot)
        if before.ready is not None and after.ready != before.ready:
            raise ViolationError(f"{machine.name} was ready, and is not any more")
        claims = tuple(sorted(after.claims.items()))
        self.voted.add((machine.slot, disk.node_id, claims))
        if after.ready is not None:
            self.ready.add((machine.slot, disk.node_id, after.ready, claims))
            strangers = [slot for slot, node in claims if (slot, node, claims) not in self.voted]
            if before.ready is None and strangers:
                raise ViolationError(f"{machine.name} is ready, but slots {strangers} never had the same votes")
        if after.founder is not None or before.founder is not None:
            self._decision(machine, before, after)

    def _claims(self, machine: Machine, before: Votes, after: Votes) -> None:
        for slot, node_id in after.claims.items():
            was = before.claims.get(slot)
            if was == node_id:
                continue
            if (slot, node_id) not in self.identities:
                raise ViolationError(f"{machine.name} votes for {node_id[:4]}, which never claimed slot {slot}")
            if was is None:
                continue
            if before.ready is not None or before.founder is not None:
                raise ViolationError(f"{machine.name} changed a frozen vote for slot {slot}")
            if before.releases.get(slot) != node_id:
                raise ViolationError(f"{machine.name} voted twice on slot {slot}")
            others = set(self.slots) - {slot, machine.slot}
            if not others <= self.agreed.get((slot, node_id), set()):
                raise ViolationError(f"{machine.name} released slot {slot} without the others' agreement")
            self.releases += 1
        if not after.claims.keys() >= before.claims.keys():
            raise ViolationError(f"{machine.name} forgot a vote")
        if len(set(after.claims.values())) != len(after.claims):
            raise ViolationError(f"{machine.name} voted for one node in two slots")

    def _decision(self, machine: Machine, before: Votes, after: Votes) -> None:
        if before.founder is not None:
            if after != before:
                raise ViolationError(f"{machine.name} changed its votes after the decision")
            return
        claims = tuple(sorted(after.claims.items()))
        if tuple(slot for slot, _ in claims) != self.slots:
            raise ViolationError(f"{machine.name} decided without every slot")
        decision = (after.founder, after.ready, claims)
        if after.founder != self.first or after.ready is None:
            raise ViolationError(f"{machine.name} decided for slot {after.founder} with token {after.ready}")
        if self.decided not in (None, decision):
            raise ViolationError(f"{machine.name} decided {decision}, others {self.decided}")
        if machine.slot == self.first:
            for slot, node_id in claims:
                if (slot, node_id, after.ready, claims) not in self.ready:
                    raise ViolationError(f"{machine.name} founds, but slot {slot}'s holder never was ready")
            self.founders.append(machine.disk)
            if len(self.founders) > 1 and not any(disk.copied_ready for disk in self.founders):
                raise ViolationError(f"{machine.name} is a second founder")
        elif self.decided is None:
            raise ViolationError(f"{machine.name} follows a founder that did not decide")
        self.decided = decision

    def stands(self, machine: Machine) -> None:
        """After an event at this machine."""
        core = machine.core
        assert core is not None
        if core.votes is not machine.disk.votes and core.votes != machine.disk.votes:
            raise ViolationError(f"{machine.name} shows votes that are not on its disk")
        for slot, contact in core.roster.contacts.items():
            if contact.view.slot != slot:  # type: ignore[attr-defined]
                raise ViolationError(f"{machine.name} takes slot {contact.view.slot}'s holder for slot {slot}'s")  # type: ignore[attr-defined]
        standing = core.standing()
        if isinstance(standing, WaitFor):
            if len(standing.reason) < 10:
                raise ViolationError(f"{machine.name} waits without a reason")
        elif core.votes.founder is None:
            raise ViolationError(f"{machine.name} says {standing}, but has not persisted it")
