"""What must hold after every event of a formation, whatever the faults were."""

from __future__ import annotations

from firstboot.cluster.ballots import Attempt, Proposal, Votes
from firstboot.cluster.events import Found, Granted, Verdict, WaitFor
from tests.simulation.machines import PATIENCE, Disk, Machine

Key = tuple[str, tuple[tuple[int, str], ...]]
"""A proposal's token and claims."""


class ViolationError(AssertionError):
    """An invariant does not hold."""


def key_of(proposal: Proposal) -> Key:
    return proposal.token, tuple(sorted(proposal.claims.items()))


class Invariants:
    """Follows the durable facts of a run, apart from what the nodes believe."""

    def __init__(self, slots: tuple[int, ...]) -> None:
        self.slots = slots
        self.identities: set[tuple[int, str]] = set()
        """Every slot and node id that really exist."""
        self.seeds: dict[str, str] = {}
        """Of every node that ever ran, its seed."""
        self.named: set[int] = set()
        """Slots that an operator wanted to leave out."""
        self.agreed: dict[tuple[int, str], set[int]] = {}
        """Slot and claimant → slots whose holder persisted that it agrees."""
        self.voted: dict[tuple[int, str], list[dict[int, str]]] = {}
        """Slot and node → every set of claims that it ever had on disk."""
        self.consents: dict[tuple[Key, Attempt], set[int]] = {}
        """Proposal and attempt → slots that gave their consent."""
        self.chosen: Key | None = None
        """What every slot that an attempt asks gave its consent to, whether anybody knows yet or not."""
        self.chosen_claims: dict[int, str] = {}
        self.founders: list[Disk] = []
        self.releases = 0
        self.unfrozen = 0
        """Consents that were replaced in a later attempt."""

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
        slack_s = PATIENCE.max_step_s * machine.steps + 0.5
        for slot, claimant in after.releases.items():
            if before.releases.get(slot) != claimant:
                silent_s = now - machine.heard.get(before.claims[slot], -1e9)
                if silent_s < PATIENCE.release_after_s - slack_s:
                    raise ViolationError(f"{machine.name} gives slot {slot} away, whose holder it heard of just now")
        if after.attempt != before.attempt and after.founder is None:
            self._absent(machine, after.attempt, now, slack_s)

    def _absent(self, machine: Machine, attempt: Attempt, now: float, slack_s: float) -> None:
        for slot in attempt.without:
            if slot in machine.heard_slots:
                silent_s, needed_s = now - machine.heard_slots[slot], PATIENCE.release_after_s
            else:
                silent_s, needed_s = now - machine.started_s, PATIENCE.grace_s
            if silent_s < needed_s - slack_s:
                raise ViolationError(f"{machine.name} leaves slot {slot} out, which may be there")
            if slot not in self.named or slot == machine.slot:
                raise ViolationError(f"{machine.name} leaves slot {slot} out, which no operator wanted")
        if 2 * (len(self.slots) - len(attempt.without)) <= len(self.slots):
            raise ViolationError(f"{machine.name} goes on with half of the slots or fewer")

    def persisted(self, machine: Machine) -> None:
        """Votes became durable: compare with what was durable before."""
        disk = machine.disk
        before, after = disk.history, disk.votes
        disk.history = after
        if before.claims is not after.claims:
            self._claims(machine, before, after)
            self.voted.setdefault((machine.slot, disk.node_id), []).append(dict(after.claims))
        for slot, node_id in {**after.claims, **after.releases}.items():
            self.agreed.setdefault((slot, node_id), set()).add(machine.slot)
        if after.attempt < before.attempt:
            raise ViolationError(f"{machine.name} went back to an earlier attempt")
        if before.token is not None and after.token != before.token:
            raise ViolationError(f"{machine.name} changed its token")
        if after.ready is not before.ready:
            self._consent(machine, before, after)
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
            others = set(self.slots) - {slot, machine.slot, *before.attempt.without}
            if not others <= self.agreed.get((slot, node_id), set()):
                raise ViolationError(f"{machine.name} released slot {slot} without the others' agreement")
            self.releases += 1
        if not after.claims.keys() >= before.claims.keys():
            raise ViolationError(f"{machine.name} forgot a vote")
        if len(set(after.claims.values())) != len(after.claims):
            raise ViolationError(f"{machine.name} voted for one node in two slots")

    def _consent(self, machine: Machine, before: Votes, after: Votes) -> None:
        if after.ready == before.ready:
            return
        if after.ready is None:
            raise ViolationError(f"{machine.name} was ready, and is not any more")
        ready, key = after.ready, key_of(after.ready.proposal)
        if before.ready is not None:
            if ready.attempt <= before.ready.attempt:
                raise ViolationError(f"{machine.name} gave its consent twice in one attempt")
            self.unfrozen += 1
        if after.founder is not None:
            return  # it learned of a decision, which is looked at below
        if ready.attempt != before.attempt:
            raise ViolationError(f"{machine.name} gives its consent in an attempt that it does not take part in")
        asked = set(self.slots) - set(ready.attempt.without)
        if (key, ready.attempt) not in self.consents and not any(known == key for known, _ in self.consents):
            self._first_consent(machine, ready.proposal, asked)
        given = self.consents.setdefault((key, ready.attempt), set())
        given.add(machine.slot)
        if given >= asked:
            if self.chosen not in (None, key):
                raise ViolationError(f"{key} and {self.chosen} are both decided")
            self.chosen, self.chosen_claims = key, dict(ready.proposal.claims)

    def _first_consent(self, machine: Machine, proposal: Proposal, asked: set[int]) -> None:
        """A new proposal has a holder for exactly the slots that are asked, and each of them had these votes."""
        if proposal.claims.keys() != asked:
            raise ViolationError(f"{machine.name} is ready for slots {list(proposal.claims)}, asked are {asked}")
        for slot, node_id in proposal.claims.items():
            known = self.voted.get((slot, node_id), [])
            if not any(claims.items() >= proposal.claims.items() for claims in known):
                raise ViolationError(f"{machine.name} is ready, but slot {slot} never had the same votes")
            if proposal.seeds.get(slot) != self.seeds[node_id]:
                raise ViolationError(f"{machine.name} is ready with a seed that slot {slot} does not have")

    def _decision(self, machine: Machine, before: Votes, after: Votes) -> None:
        if before.founder is not None:
            if after != before:
                raise ViolationError(f"{machine.name} changed its votes after the decision")
            return
        if after.ready is None or self.chosen != key_of(after.ready.proposal):
            raise ViolationError(f"{machine.name} decided for slot {after.founder}, but not all were ready for that")
        proposal = after.ready.proposal
        if after.founder != min(proposal.claims):
            raise ViolationError(f"{machine.name} decided that slot {after.founder} founds")
        if proposal.has(machine.slot, machine.disk.node_id) and machine.slot == after.founder:
            if after.token != proposal.token:
                return  # it says that it is a copy
            self.founders.append(machine.disk)
            if len(self.founders) > 1 and not any(disk.copied_ready for disk in self.founders):
                raise ViolationError(f"{machine.name} is a second founder")

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
            return
        votes = core.votes
        if votes.founder is None or votes.ready is None:
            raise ViolationError(f"{machine.name} says {standing}, but has not persisted it")
        if not votes.ready.proposal.has(machine.slot, machine.disk.node_id):
            raise ViolationError(f"{machine.name} says {standing}, but is no member")
        if isinstance(standing, Found) and votes.ready.proposal.token != votes.token:
            raise ViolationError(f"{machine.name} founds, but is a copy of the founder")
