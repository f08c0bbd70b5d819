"""What this machine's files say of the node: seed, journal, status, a running agent; all checks share it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from firstboot import paths, seedmedia
from firstboot.cluster.names import host_name
from firstboot.cluster.tls import Credentials
from firstboot.context import Context, Member
from firstboot.errors import BadInputError, TrivetError
from firstboot.nodekey import NodeKey, load_claim
from firstboot.plan import SlotPlan
from firstboot.seed import Seed
from firstboot.state import Journal, JournalDocument, KnownMember
from firstboot.status import NodeStatus, PhaseState, PhaseStatus

LOCKS = Path("/proc/locks")
RESTART_HINT = "restart the agent: systemctl restart trivet-firstboot"


@dataclass(frozen=True)
class Node:
    """The node as its files have it; a file that can't be read is a trouble and counts as not there."""

    seed: Seed | None = None
    journal: JournalDocument = field(default_factory=JournalDocument)
    status: NodeStatus | None = None
    agent_pid: int | None = None
    troubles: tuple[TrivetError, ...] = ()

    @property
    def claimed_seed(self) -> Seed:
        """The seed; only checks that need one may ask."""
        assert self.seed is not None, "a check that needs no seed asked for it"
        return self.seed

    @property
    def credentials(self) -> Credentials:
        """What this node shows to others of its site; raises TrivetError when it can't be put together."""
        claim = load_claim(paths.CLAIM, self.claimed_seed, NodeKey.load(paths.NODE_KEY).node_id)
        if claim is None:
            raise BadInputError(f"{paths.CLAIM} is not there, or is not this node's", hint=RESTART_HINT)
        return NodeKey.load(paths.NODE_KEY).credentials(self.claimed_seed, claim)

    @property
    def slot(self) -> SlotPlan:
        return self.claimed_seed.plan.slot(self.claimed_seed.slot.number)

    @property
    def others(self) -> tuple[SlotPlan, ...]:
        """The other slots of the site."""
        return tuple(slot for slot in self.claimed_seed.plan.slots if slot != self.slot)

    def entered(self, phase: str) -> bool:
        """Whether the agent has begun the phase since it was last started."""
        return any(p.name == phase and p.state is not PhaseState.PENDING for p in self._phases)

    def finished(self, phase: str) -> bool:
        """Whether the agent has finished the phase since it was last started."""
        return any(p.name == phase and p.state is PhaseState.DONE for p in self._phases)

    def ever_finished(self, phase: str) -> bool:
        """Whether the phase was ever done on this node."""
        return phase in self.journal.phases

    @property
    def members(self) -> dict[int, Member]:
        """Whoever answered over mutual TLS, by slot, where it did so last; this node too once it was admitted."""
        seed = self.claimed_seed
        known = dict(self.journal.members)
        for peer in self.status.peers if self.status is not None else ():
            if peer.address is not None:
                before = known[peer.slot].storage_address if peer.slot in known else None
                storage = peer.storage_address or before
                known[peer.slot] = KnownMember(
                    node_id=peer.node_id or "", address=peer.address, storage_address=storage
                )
        return {
            slot.number: Member(
                slot.number,
                slot.name,
                known[slot.number].node_id,
                known[slot.number].address,
                host_name(slot.name, seed.site.name),
                known[slot.number].storage_address,
            )
            for slot in seed.plan.slots
            if slot.number in known
        }

    def context(self) -> Context:
        """The node as the phases' own code takes it, for the parts of that which only read."""
        made = Context(report=lambda _: None, seed=self.seed, node_id=self.journal.node_id)
        made.members, made.founder_slot = self.members, self.journal.founder_slot
        return made

    @property
    def _phases(self) -> tuple[PhaseStatus, ...]:
        return self.status.phases if self.status is not None else ()


def read_node() -> Node:
    """Read it; whatever can't be read is named in `troubles`."""
    troubles: list[TrivetError] = []
    seed: Seed | None = None
    journal, status = JournalDocument(), None
    try:
        seed = seedmedia.read_file(paths.SEED).seed if paths.SEED.exists() else None
    except TrivetError as error:
        troubles.append(error)
    try:
        journal = Journal(paths.JOURNAL).document
    except TrivetError as error:
        troubles.append(error)
    try:
        status = read_status(paths.STATUS)
    except TrivetError as error:
        troubles.append(error)
    return Node(seed, journal, status, read_agent_pid(), tuple(troubles))


def read_status(path: Path) -> NodeStatus | None:
    """What the agent said last since the machine was started; raises BadInputError when that can't be read."""
    damaged = BadInputError(
        f"{path} is not a status that this version reads",
        hint=RESTART_HINT,
    )
    try:
        return NodeStatus.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise damaged from error


def read_agent_pid() -> int | None:
    """The process that holds the agent's lock; looked up, because taking the lock could stop an agent's start."""
    try:
        found = paths.LOCK.stat()
    except OSError:
        return None
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    return lock_holder(LOCKS.read_text(encoding="ascii"), device, found.st_ino)


def lock_holder(locks: str, device: str, inode: int) -> int | None:
    """The process with a flock(2) on the file, by the text of proc_locks(5). Pure.

    `device` is MAJOR:MINOR in hexadecimal. A line with `->` is of a process that only waits for the lock.
    """
    for line in locks.splitlines():
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == f"{device}:{inode}":
            return int(words[4])
    return None
