"""The registers of the simulated machines: their disks and calls, over the network of the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firstboot.cluster import admission, belief
from firstboot.cluster.bids import Question, Reaction
from firstboot.cluster.changes import Change, ClaimSlot
from firstboot.cluster.events import MembersKnown
from firstboot.cluster.members import Members, first
from firstboot.cluster.proceedings import (
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
from firstboot.cluster.proposer import Timing
from firstboot.cluster.register import Register
from tests.simulation.conversation import TIMEOUT_S
from tests.simulation.invariants import ViolationError
from tests.simulation.ledger import Ledger
from tests.simulation.machines import Machine

if TYPE_CHECKING:
    from tests.simulation.world import World

TIMING = Timing(round_s=5.0, pause_s=0.3, longest_pause_s=3.0, give_up_s=12.0)
TICK_S = 0.5


class Registers:
    """Runs the production register of every machine."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = Ledger()
        self._request = 0
        self._asking: dict[tuple[int, int], tuple[Machine, int, Call]] = {}
        """Machine and request → who asked, in which life and call."""

    def start(self, machine: Machine) -> None:
        machine.register = Register(machine.disk.node_id, self.world.chance, TIMING)
        self.step(machine, Opened(machine.disk.register, self.world.now))
        self.ledger.started(machine)

    def follow(self, machine: Machine) -> None:
        """After an event of its core: begin with the decision, once there is one."""
        register, core = machine.register, machine.core
        if register is None or core is None or register.members is not None or machine.saving is not None:
            return
        votes = core.votes
        if votes.founder is not None and votes.ready is not None:
            members = first(votes.ready.proposal, core.identity.names)
            self.ledger.founded(machine, members)
            self.step(machine, Settled(members, self.world.now))

    def learn(self, machine: Machine, by: str, members: Members | None) -> None:
        """That node showed this epoch."""
        register, core = machine.register, machine.core
        if register is None or core is None or members is None or machine.saving is not None:
            return
        known = register.members
        if known is not None and known.epoch >= members.epoch:
            return
        if known is None or (machine.disk.node_id not in known.nodes and by not in known.nodes):
            met = [*core.roster.views.values(), *(rival.view for rival in core.roster.rivals.values())]
            showings = [showing for view in met if (showing := _showing(view)) is not None]
            most = belief.candidate([one for one in showings if one.node_id != machine.disk.node_id])
            if (by, members.epoch) not in [(one.node_id, one.epoch) for one in most]:
                return
        elif by not in known.nodes and (by in known.removed or by not in members.nodes):
            return
        self.step(machine, Settled(members, self.world.now))

    def want(self, machine: Machine, change: Change | None) -> None:
        """An operator, or the machine itself, wants a change."""
        self._request += 1
        machine.wishes[self._request] = self.ledger.wanted(change)
        self.world.note(f"{machine.name} wants {change}")
        self.step(machine, Wanted(self._request, change, self.world.now))
        if not machine.ticking:
            machine.ticking = True
            self.world.after(TICK_S, self._tick, machine, machine.life)

    def seek(self, host: Machine, claim: ClaimSlot) -> None:
        """A machine asks a member to be admitted."""
        register, core = host.register, host.core
        if register is None or core is None or register.members is None:
            return
        if host.disk.node_id not in register.members.nodes or register.busy:
            return
        answering = [slot for slot, contact in core.roster.contacts.items() if contact.reachable]
        verdict = admission.consider(register.members, host.disk.node_id, answering, claim)
        if isinstance(verdict, admission.Sponsor):
            self.want(host, verdict.change)

    def step(self, machine: Machine, event: Event) -> None:
        register = machine.register
        assert register is not None
        self.world.events += 1
        for action in register.step(event):
            if machine.register is not register:
                return
            match action:
                case Save():
                    self._save(machine, action)
                case Call():
                    self._call(machine, action)
                case Respond():
                    self._respond(machine, action)
                case Finished():
                    self.world.note(f"{machine.name} finished: {action.end}")
                    self.ledger.finished(machine, machine.wishes.pop(action.request), action.end)
        if machine.register is register:
            self.ledger.stands(machine)
            self._tell_core(machine)

    def _tell_core(self, machine: Machine) -> None:
        """No second cluster is founded; members visit the machines of slots that were added later, too."""
        assert machine.register is not None
        members = machine.register.members
        if machine.core is not None and members is not None and members is not machine.told:
            machine.told = members
            names = {slot: record.name for slot, record in members.slots.items()}
            holders = {slot: node for node, slot in members.nodes.items()}
            self.world.step(machine, MembersKnown(names, holders, self.world.now + machine.clock_s))

    def _tick(self, machine: Machine, life: int) -> None:
        if machine.life != life or machine.register is None:
            return
        self.step(machine, Elapsed(self.world.now))
        if machine.life == life and machine.register is not None:
            machine.ticking = machine.register.busy
            if machine.ticking:
                self.world.after(TICK_S, self._tick, machine, life)

    # Disk

    def _save(self, machine: Machine, action: Save) -> None:
        if machine.saving is not None:
            raise ViolationError(f"{machine.name} wants two writes of its register at once")
        machine.saving = action
        self.world.changed_s = self.world.now
        if self.world.traced:
            state = action.state
            epoch = state.members.epoch if state.members else 0
            accepted = f", consent in {state.accepted.bid.number}" if state.accepted else ""
            self.world.note(f"{machine.name} saves epoch {epoch}, bid {state.promised.number}{accepted}")
        if not self.world.crash_at_write(machine):
            delay_s = self.world.chance.uniform(0.001, 0.05)
            self.world.after(delay_s, self._written, machine, machine.life, action)

    def _written(self, machine: Machine, life: int, action: Save) -> None:
        if machine.life != life:
            return
        machine.saving = None
        if self.world.write_fails():
            self.step(machine, SaveFailed(action.serial, self.world.now))
            return
        machine.disk.register = action.state
        self.ledger.saved(machine)
        self.step(machine, Saved(action.serial, self.world.now))

    # Network

    def _call(self, caller: Machine, action: Call) -> None:
        world = self.world
        found = [machine for machine in world.machines if machine.disk.node_id == action.node_id]
        callee = found[0] if found else None
        life = caller.life
        if callee is None or not world.send(caller, callee, self._ask, caller, life, callee, action):
            world.after(TIMEOUT_S, self._unanswered, caller, life, action, "no answer in time")
        else:
            world.after(2 * TIMEOUT_S, self._unanswered, caller, life, action, "no answer in time")

    def _ask(self, caller: Machine, life: int, callee: Machine, action: Call) -> None:
        if callee.register is None:
            self.world.after(0.001, self._unanswered, caller, life, action, "connection refused")
            return
        self._request += 1
        self._asking[callee.index, self._request] = caller, life, action
        question: Question = action.question
        self.step(callee, Asked(self._request, caller.disk.node_id, question, self.world.now))

    def _respond(self, callee: Machine, action: Respond) -> None:
        caller, life, call = self._asking.pop((callee.index, action.request))
        self.ledger.responded(callee, call.question, action.reaction)
        self.world.send(callee, caller, self._reacted, caller, life, call.call, callee.disk.node_id, action.reaction)

    def _reacted(self, caller: Machine, life: int, call: int, node_id: str, reaction: Reaction) -> None:
        if caller.life == life and caller.register is not None:
            self.step(caller, Reacted(call, node_id, reaction, self.world.now))

    def _unanswered(self, caller: Machine, life: int, action: Call, cause: str) -> None:
        """Also told of calls that were answered, after them: the register must not mind."""
        if caller.life == life and caller.register is not None:
            self.step(caller, Unanswered(action.call, action.node_id, cause, self.world.now))


def _showing(view: object) -> belief.Showing | None:
    """What a machine's view shows; of an epoch there is one document, which the ledger sees to."""
    members = view.members  # type: ignore[attr-defined]
    if members is None:
        return None
    return belief.Showing(view.node_id, view.slot, members.epoch, "")  # type: ignore[attr-defined]
