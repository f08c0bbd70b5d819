"""Machines of the simulated site: a disk, a clock that may be wrong, and the production core between them."""

from __future__ import annotations

from dataclasses import dataclass, field

from firstboot.cluster.core import Core, Identity
from firstboot.cluster.events import Endpoint, Persist, Votes

PORT = 7463


@dataclass(slots=True)
class Disk:
    """What a power cut keeps. A copy has the same node id, and is another disk from then on."""

    node_id: str
    votes: Votes = field(default_factory=Votes)
    copied_ready: bool = False
    """A copy of a disk that was frozen already: nothing can tell it from the original."""
    history: Votes = field(default_factory=Votes)
    """The last votes that were confirmed, kept apart from what a mutant may do to `votes`."""


@dataclass(slots=True)
class Sight:
    """A view, as the wire would carry it."""

    node_id: str
    slot: int
    votes: Votes
    claims: object
    releases: object
    ready: str | None
    founder: int | None
    run: str
    address: str


class Machine:
    """A box with one slot's seed."""

    __slots__ = (
        "address",
        "asked",
        "clock_s",
        "core",
        "crash_on_vote",
        "disk",
        "endpoint",
        "extra",
        "gone",
        "group",
        "heard",
        "index",
        "life",
        "names",
        "open_visits",
        "rounds",
        "seen",
        "sight",
        "slot",
        "steps",
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

    @property
    def name(self) -> str:
        return f"m{self.index}/slot{self.slot}/{self.disk.node_id[:4]}"

    def start(self, run: str) -> None:
        self.life += 1
        self.core = Core(Identity(self.slot, self.disk.node_id, self.names, run))
        self.open_visits = 0
        self.asked = None
        self.seen = self.sight = None
        self.heard = {}

    def stop(self, *, keep: bool) -> None:
        """Lose power; `keep`: what was being written reached the disk."""
        if self.asked is not None and keep:
            self.disk.votes = self.asked.votes
        self.asked = None
        self.core = None
        self.life += 1
        self.crash_on_vote = 0

    def view(self) -> Sight:
        """What this machine shows right now."""
        core = self.core
        assert core is not None
        votes = core.votes
        if self.sight is None or self.seen is not votes:
            self.seen = votes
            self.sight = Sight(
                self.disk.node_id,
                self.slot,
                votes,
                votes.claims,
                votes.releases,
                votes.ready,
                votes.founder,
                core.identity.run,
                self.address,
            )
        return self.sight
