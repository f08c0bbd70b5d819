"""Machines of the simulated site: a disk, a clock that may be wrong, and the production core between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from firstboot.cluster.ballots import Attempt, Ready, Votes
from firstboot.cluster.bids import RegisterState
from firstboot.cluster.core import Core
from firstboot.cluster.events import Endpoint, Identity, Persist, Visit
from firstboot.cluster.itinerary import Pace
from firstboot.cluster.members import Members
from firstboot.cluster.presence import Patience
from firstboot.cluster.proceedings import Save
from firstboot.cluster.register import Register

if TYPE_CHECKING:
    from tests.simulation.ledger import Wish

PORT = 7463
PATIENCE = Patience(release_after_s=8.0, grace_s=3.0, max_step_s=1.5)
"""Shorter than a real one, so that simulated sites have a short life."""
PACE = Pace(usual=2, least=1, urgent=3, searched=4, rest_s=0.4, lead_rest_s=0.5)
"""Of six slots not all are visited in a round, as on large sites."""


@dataclass(slots=True)
class Disk:
    """What a power cut keeps. A copy has the same node id, and is another disk from then on."""

    node_id: str
    votes: Votes = field(default_factory=Votes)
    copied_ready: bool = False
    """A copy of a disk that was frozen already: nothing can tell it from the original."""
    history: Votes = field(default_factory=Votes)
    """The last votes that were confirmed, kept apart from what a mutant may do to `votes`."""
    register: RegisterState = field(default_factory=RegisterState)
    register_history: RegisterState = field(default_factory=RegisterState)


@dataclass(slots=True)
class Sight:
    """A view, as the wire would carry it."""

    node_id: str
    slot: int
    seed_id: str
    votes: Votes
    claims: object
    releases: object
    attempt: Attempt
    ready: Ready | None
    founder: int | None
    run: str
    address: str
    members: Members | None
    storage_address: None = None


class Machine:
    """A box with one slot's seed."""

    __slots__ = (
        "address",
        "asked",
        "callers",
        "clock_s",
        "core",
        "crash_on_vote",
        "disk",
        "endpoint",
        "extra",
        "gone",
        "group",
        "heard",
        "heard_slots",
        "index",
        "joins",
        "life",
        "names",
        "open_visits",
        "register",
        "rounds",
        "saving",
        "seed_id",
        "seen",
        "sight",
        "slot",
        "started_s",
        "steps",
        "ticking",
        "told",
        "wishes",
    )

    def __init__(self, index: int, slot: int, disk: Disk, names: dict[int, str], *, extra: bool = False) -> None:
        self.index = index
        self.slot = slot
        self.disk = disk
        self.names = names
        self.extra = extra
        """Not the first machine of its slot."""
        self.address = f"192.0.2.{index}"
        self.gone = False
        """Turned off for good."""
        self.endpoint = Endpoint(self.address, PORT)
        self.core: Core | None = None
        self.life = 0
        """Counts starts and ends: what belongs to an earlier life is dropped."""
        self.group = 0
        self.clock_s = 0.0
        self.steps = 0
        self.asked: Persist | None = None
        self.crash_on_vote = 0
        """1: lose power at the next vote, before the disk has it; 2: after, but before it is confirmed."""
        self.open_visits = 0
        self.rounds = 0
        self.seen: Votes | None = None
        self.sight: Sight | None = None
        self.heard: dict[str, float] = {}
        self.heard_slots: dict[int, float] = {}
        self.started_s = 0.0
        self.seed_id = f"{slot:032x}"
        self.callers: dict[int, Endpoint] = {}
        """Who visited this machine in this life, by the slot that it proved."""
        self.joins = False
        """Its seed was made after the founding."""
        self.register: Register | None = None
        self.saving: Save | None = None
        self.ticking = False
        """Its register is told of the time."""
        self.told: Members | None = None
        """The epoch that its core was told of."""
        self.wishes: dict[int, Wish] = {}

    @property
    def name(self) -> str:
        return f"m{self.index}/slot{self.slot}/{self.disk.node_id[:4]}"

    def start(self, run: str, now: float) -> None:
        self.life += 1
        self.started_s = now
        self.core = Core(Identity(self.slot, self.disk.node_id, self.seed_id, self.names, run), PATIENCE, PACE)
        self.open_visits = 0
        self.asked = None
        self.seen = self.sight = None
        self.heard = {}
        self.heard_slots = {}
        self.callers = {}
        self.register = self.saving = self.told = None
        self.ticking = False
        self.wishes = {}

    def hear(self, visit: Visit, now: float) -> None:
        self.heard[visit.view.node_id] = self.heard_slots[visit.slot] = now

    def stop(self, *, keep: bool) -> None:
        """Lose power; `keep`: what was being written reached the disk."""
        if self.asked is not None and keep:
            self.disk.votes = self.asked.votes
        if self.saving is not None and keep:
            self.disk.register = self.saving.state
        self.asked = self.saving = None
        self.core = self.register = None
        self.life += 1
        self.crash_on_vote = 0

    def view(self) -> Sight:
        """What this machine shows right now."""
        core = self.core
        assert core is not None
        votes, members = core.votes, self.register.members if self.register is not None else None
        if self.sight is None or self.seen is not votes or self.sight.members is not members:
            self.seen = votes
            self.sight = Sight(
                self.disk.node_id,
                self.slot,
                self.seed_id,
                votes,
                votes.claims,
                votes.releases,
                votes.attempt,
                votes.ready,
                votes.founder,
                core.identity.run,
                self.address,
                members,
            )
        return self.sight
