"""What the phases share: the seed, this node's identity, and the members once they are admitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firstboot.plan import Plan, SlotPlan
from firstboot.seed import Seed
from firstboot.status import NetworkStatus

if TYPE_CHECKING:
    from firstboot.cluster.members import Members
    from firstboot.cluster.places import Places
    from firstboot.cluster.tls import Credentials
    from firstboot.cluster.views import View


@dataclass(frozen=True)
class Member:
    """An admitted node: its slot, its node id, and the addresses at which mutual TLS last succeeded."""

    slot: int
    name: str
    node_id: str
    address: str
    host_name: str
    """The stable name that peers, bricks and mounts use; the agent keeps it in /etc/hosts."""
    storage_address: str | None = None

    @property
    def data_address(self) -> str:
        """Where its stable name leads: into the storage network, where the site has one, and never out of it."""
        return self.storage_address or self.address


@dataclass(frozen=True)
class Look:
    """What a look at all of this node's bricks found, for files to heal."""

    healing: tuple[str, ...] = ()
    """Volumes of which a brick here knows that another member's copy lacks something."""
    epoch: int | None = None
    """Of the members' document that says whose copies count; None: nobody has looked yet."""


@dataclass
class Context:
    """Run state of one agent process. Phases read it; only the phase that owns a field writes it."""

    report: Callable[[str], None]
    """Says what the running phase is doing right now, in one line: status, console and log."""
    seed: Seed | None = None
    node_id: str | None = None
    claimant: Credentials | None = None
    """What this node shows to others of its site: its key, for which its slot vouches; the identity phase sets it."""
    members: dict[int, Member] = field(default_factory=dict)
    """By slot number, this node included; complete once admission is done."""
    founder_slot: int | None = None
    authority: str | None = None
    """Fingerprint of the cluster authority that this node holds; the enrol phase keeps it."""
    certified: str | None = None
    """Fingerprint of the one that its certificate is of; the enrol phase keeps it."""
    document: Members | None = None
    """The latest epoch of the members' document that is known here; the admit phase keeps it."""
    look: Look = field(default_factory=Look)
    """The last look for files to heal that came to its end; the volumes phase keeps it, as a whole."""
    address: str | None = None
    """This node's management address; the network phase keeps it."""
    storage_address: str | None = None
    """This node's address in the storage network, where the plan has one; the network phase keeps it."""
    places: Places | None = None
    """Who has which place in the trusted storage pool; firstboot.gluster.heir keeps it."""
    empty: tuple[str, ...] = ()
    """Volumes of which a brick here was never filled; firstboot.gluster.refill keeps it."""
    networks: tuple[NetworkStatus, ...] = ()
    """What is on which cards, and the cards that are left; the network phase keeps both."""
    unused_cards: tuple[str, ...] = ()
    network_faults: tuple[str, ...] = ()
    """What is degraded in this node's network; the network phase keeps it."""
    finished: set[str] = field(default_factory=set)
    """Names of the phases that are done in this run of the agent; the runner writes it."""
    views: dict[int, View] = field(default_factory=dict)
    """What each member said of itself last, by slot number, this node included; see firstboot.cluster.views."""

    @property
    def claimed_seed(self) -> Seed:
        """The seed; only phases after identity may ask."""
        assert self.seed is not None, "a phase before identity asked for the seed"
        return self.seed

    @property
    def claim_credentials(self) -> Credentials:
        """What this node shows as its slot's claimant; only phases after identity may ask."""
        assert self.claimant is not None, "a phase before identity asked for the credentials"
        return self.claimant

    @property
    def plan(self) -> Plan:
        return self.claimed_seed.plan

    @property
    def slot(self) -> SlotPlan:
        return self.plan.slot(self.claimed_seed.slot.number)

    @property
    def is_founder(self) -> bool:
        return self.founder_slot == self.slot.number
