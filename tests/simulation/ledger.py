"""What must hold of the members' document after every event, whatever the faults were."""

from __future__ import annotations

from dataclasses import dataclass

from firstboot.cluster.bids import Bid, Consent, Learn, Promise, Question, Reaction, RegisterState
from firstboot.cluster.changes import Change, ClaimSlot, Refusal, ReleaseSlot, RemoveNode, RotateAuthority
from firstboot.cluster.members import Members
from firstboot.cluster.proceedings import Denied, End, GivenUp, Made
from tests.simulation.invariants import ViolationError
from tests.simulation.machines import Machine


@dataclass(slots=True)
class Wish:
    """A change that was wanted; `floor` is the latest epoch that had been told to anybody by then."""

    change: Change | None
    floor: int
    end: End | None = None


class Ledger:
    """Follows what is on the disks, apart from what the nodes believe: which documents are settled, and when told."""

    def __init__(self) -> None:
        self.settled: dict[int, Members] = {}
        self.consents: dict[tuple[int, Bid], tuple[Members, set[str]]] = {}
        self.told = 0
        """The latest epoch that a finished wish was told."""
        self.seeds: dict[str, str] = {}
        """Seed → the only node that ever was a member with it."""
        self.named: set[str] = set()
        """Nodes that somebody wanted to remove."""
        self.never: list[Change] = []
        """Changes of which it was told that they will never be made."""
        self.wishes: list[Wish] = []

    @property
    def latest(self) -> Members | None:
        return self.settled[max(self.settled)] if self.settled else None

    # Disks

    def started(self, machine: Machine) -> None:
        assert machine.register is not None
        if machine.register.state != machine.disk.register:
            raise ViolationError(f"{machine.name} forgot its register at its start")

    def founded(self, machine: Machine, members: Members) -> None:
        """A machine makes the first document out of the decision."""
        if self.settled.setdefault(1, members) != members:
            raise ViolationError(f"{machine.name} begins with another document than the others")
        self._use_seeds(members)

    def saved(self, machine: Machine) -> None:
        """A register's state became durable: compare with what was durable before."""
        disk = machine.disk
        before, after = disk.register_history, disk.register
        disk.register_history = after
        if after.members != before.members:
            self._learned(machine, before, after)
            before = RegisterState(after.members)
        if after.promised < before.promised:
            raise ViolationError(f"{machine.name} broke a promise")
        accepted = after.accepted
        if accepted is not None and accepted != before.accepted:
            if accepted.bid < before.promised or accepted.bid != after.promised:
                raise ViolationError(f"{machine.name} gave its consent in a bid that it does not take part in")
            assert after.members is not None
            self._consented(machine, after.members, accepted.bid, accepted.members)

    def _learned(self, machine: Machine, before: RegisterState, after: RegisterState) -> None:
        members = after.members
        if members is None or (before.members is not None and members.epoch <= before.members.epoch):
            raise ViolationError(f"{machine.name} went back to an earlier epoch")
        if self.settled.get(members.epoch) != members:
            raise ViolationError(f"{machine.name} takes an epoch {members.epoch} for settled that is not")

    def _consented(self, machine: Machine, base: Members, bid: Bid, document: Members) -> None:
        epoch = document.epoch
        if self.settled.get(base.epoch) != base or epoch != base.epoch + 1:
            raise ViolationError(f"{machine.name} gave its consent to an epoch that does not follow")
        known, given = self.consents.setdefault((epoch, bid), (document, set()))
        if known != document:
            raise ViolationError(f"bid {bid} was made with two documents")
        given.add(machine.disk.node_id)
        if all(2 * len(given & nodes) > len(nodes) for nodes in (_nodes(base), _nodes(document))):
            if self.settled.setdefault(epoch, document) != document:
                raise ViolationError(f"epoch {epoch} was settled twice")
            self._follows(base, document)

    def _follows(self, base: Members, document: Members) -> None:
        was, now = _nodes(base), _nodes(document)
        if len(was ^ now) > 1 or document.cluster_id != base.cluster_id:
            raise ViolationError(f"epoch {document.epoch} changes more than one member")
        if not set(base.removed) | (was - now) <= set(document.removed) or now & set(document.removed):
            raise ViolationError(f"epoch {document.epoch} forgets a removed node, or has it again")
        if not was - now <= self.named:
            raise ViolationError(f"epoch {document.epoch} removes a node that nobody named")
        if len(now) < sum(record.node_id is not None for record in document.slots.values()):
            raise ViolationError(f"epoch {document.epoch} has a node twice")
        self._use_seeds(document)
        for change in self.never:
            if _is_in(change, document):
                raise ViolationError(f"{change} was never to be made, and is")

    def _use_seeds(self, document: Members) -> None:
        for record in document.slots.values():
            node, seed = record.node_id, record.seed_id
            if node is not None and (seed is None or self.seeds.setdefault(seed, node) != node):
                raise ViolationError(f"the seed of {record.name} is used twice")

    # Answers

    def responded(self, machine: Machine, question: Question, reaction: Reaction) -> None:
        """A node answered a question: what it says must be on its disk."""
        if isinstance(question, Learn) or not isinstance(reaction, Promise | Consent):
            return
        state = machine.disk.register
        known = state.members.epoch if state.members is not None else 0
        if known > question.base.epoch:
            return  # it learned more meanwhile
        if known < question.base.epoch or state.promised < reaction.bid:
            raise ViolationError(f"{machine.name} promised before it was on disk")
        if isinstance(reaction, Consent) and (state.accepted is None or state.accepted.bid < reaction.bid):
            raise ViolationError(f"{machine.name} gave its consent before it was on disk")

    def stands(self, machine: Machine) -> None:
        """After an event at this machine's register."""
        shown = machine.register.state if machine.register is not None else machine.disk.register
        if shown is not machine.disk.register and shown != machine.disk.register:
            raise ViolationError(f"{machine.name} shows a register that is not on its disk")

    # Wishes

    def wanted(self, change: Change | None) -> Wish:
        if isinstance(change, ReleaseSlot | RemoveNode) and change.node_id is not None:
            self.named.add(change.node_id)
        self.wishes.append(Wish(change, self.told))
        return self.wishes[-1]

    def finished(self, machine: Machine, wish: Wish, end: End) -> None:
        """Linearizable: what is told was the latest at some moment since it was wanted."""
        wish.end = end
        if isinstance(end, GivenUp):
            if len(end.reason) < 10:
                raise ViolationError(f"{machine.name} gives up without a reason")
            if not end.open and isinstance(wish.change, RotateAuthority):
                self.never.append(wish.change)
                if any(_is_in(wish.change, members) for members in self.settled.values()):
                    raise ViolationError(f"{machine.name} says that {wish.change} was not made, but it was")
            return
        epoch = end.members.epoch if isinstance(end, Made) else end.epoch
        if epoch < wish.floor:
            raise ViolationError(f"{machine.name} answers with epoch {epoch}, {wish.floor} had been told before")
        members = self.settled.get(epoch)
        if members is None or (isinstance(end, Made) and end.members != members):
            raise ViolationError(f"{machine.name} tells of epoch {epoch}, which is not settled")
        if wish.change is not None:
            outcome = wish.change.apply(members)
            if isinstance(end, Made) and outcome != members:
                raise ViolationError(f"{machine.name} says that {wish.change} is made, but it is not")
            if isinstance(end, Denied) and not isinstance(outcome, Refusal):
                raise ViolationError(f"{machine.name} denies {wish.change}, which could be made")
        self.told = max(self.told, epoch)


def _nodes(members: Members) -> set[str]:
    return {record.node_id for record in members.slots.values() if record.node_id is not None}


def _is_in(change: Change, members: Members) -> bool:
    if isinstance(change, RotateAuthority):
        return change.fingerprint in members.authorities
    return isinstance(change, ClaimSlot) and change.node_id in _nodes(members)
