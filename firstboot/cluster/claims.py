"""This node's votes on disk, format trivet-claims 2, and the formation core that decides what is written there.

A vote is on disk before anybody learns of it, so that no crash makes a node vote twice.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from firstboot.cluster.ballots import FIRST, MAX_SLOTS, Attempt, Ready, Votes
from firstboot.cluster.core import PATIENCE, Core
from firstboot.cluster.events import (
    Action,
    Answer,
    ClaimArrived,
    ClusterExists,
    Declined,
    Endpoint,
    Event,
    Follow,
    Found,
    Identity,
    LeaveOut,
    MembersKnown,
    Persist,
    Persisted,
    PersistFailed,
    Refuse,
    Reply,
    RoundBegan,
    Started,
    Target,
    TimePassed,
    Unsaved,
    Verdict,
    Visit,
    Visited,
    VisitFailed,
    WaitFor,
)
from firstboot.cluster.members import Members
from firstboot.cluster.presence import Patience
from firstboot.cluster.roster import Roster
from firstboot.document import Source, load_document
from firstboot.errors import BadInputError, RefusedError
from firstboot.files import sync_folder, write_atomic
from firstboot.model import Model
from firstboot.seed import Id

log = logging.getLogger(__name__)


class ClaimsDocument(Model):
    """The file's content; see firstboot.cluster.ballots.Votes."""

    format: Literal["trivet-claims"] = "trivet-claims"
    version: str = "2.0"
    site_id: Id
    claims: dict[int, Id] = {}
    releases: dict[int, Id] = {}
    attempt: Attempt = FIRST
    ready: Ready | None = None
    token: Id | None = None
    founder: int | None = Field(default=None, ge=1, le=MAX_SLOTS)

    @classmethod
    def of(cls, site_id: str, votes: Votes) -> ClaimsDocument:
        return cls(
            site_id=site_id,
            claims=dict(votes.claims),
            releases=dict(votes.releases),
            attempt=votes.attempt,
            ready=votes.ready,
            token=votes.token,
            founder=votes.founder,
        )

    @property
    def votes(self) -> Votes:
        return Votes(self.claims, self.releases, self.attempt, self.ready, self.token, self.founder)


class Ballot:
    """Runs the core for one node: does what it asks, one event after the other. Safe to call from any thread."""

    def __init__(
        self,
        path: Path,
        identity: Identity,
        *,
        site_id: str,
        clock: Callable[[], float],
        founder: int | None = None,
        cluster_exists: bool = False,
        patience: Patience = PATIENCE,
    ) -> None:
        """`founder` is what the journal says was decided; `cluster_exists` forbids to found another one.

        Raises RefusedError when the votes are another node's.
        """
        self._path = path
        self._site_id = site_id
        self._clock = clock
        self._lock = threading.Lock()
        self._core = Core(identity, patience)
        self._trouble: OSError | None = None
        votes = _read(path, site_id).votes
        votes = replace(votes, founder=votes.founder or founder)
        if cluster_exists:
            self._step(ClusterExists(clock()))
        self._step(Started(votes, clock()))
        self._raise_trouble()

    @property
    def identity(self) -> Identity:
        return self._core.identity

    @property
    def votes(self) -> Votes:
        """What is on disk, and may be shown."""
        return self._core.votes

    @property
    def claims(self) -> dict[int, str]:
        return dict(self.votes.claims)

    @property
    def roster(self) -> Roster:
        return self._core.roster

    @property
    def hurried(self) -> bool:
        """Whether to begin the next round soon."""
        with self._lock:
            return self._core.hurried

    def claim(self, sender_slot: int, slot: int, node_id: str) -> Verdict:
        """Answer a claim; a new vote is fsynced before this returns. Raises OSError when that failed."""
        actions = self._step(ClaimArrived(0, sender_slot, slot, node_id, self._clock()))
        verdict = next(action.verdict for action in actions if isinstance(action, Answer))
        if isinstance(verdict, Unsaved):
            self._raise_trouble()
        return verdict

    def leave_out(self, slots: Sequence[int]) -> Attempt:
        """Go on without these slots' machines: an operator says that they don't come.

        Raises RefusedError with why this node does not, OSError when that could not be written. The others still
        have to take part: `standing` tells.
        """
        actions = self._step(LeaveOut(0, tuple(slots), self._clock()))
        verdict = next(action.verdict for action in actions if isinstance(action, Reply))
        if isinstance(verdict, Declined):
            raise RefusedError(verdict.reason, hint=verdict.hint)
        if isinstance(verdict, Unsaved):
            self._raise_trouble()
        assert not isinstance(verdict, Unsaved), "a write failed without trouble"
        return verdict.attempt

    def know_members(self, members: Members) -> None:
        """This is an epoch of the cluster: who holds its slots is settled, whatever was voted."""
        names = {slot: record.name for slot, record in members.slots.items()}
        holders = {slot: node for node, slot in members.nodes.items()}
        self._step(MembersKnown(names, holders, self._clock()))

    def begin_round(
        self,
        offers: Mapping[int, Sequence[Endpoint]],
        peers: Sequence[Endpoint],
        port: int,
        chance: random.Random,
    ) -> list[Target]:
        """Where to go in this round."""
        actions = self._step(RoundBegan(offers, peers, port, chance, self._clock()))
        return [action for action in actions if isinstance(action, Target)]

    def visited(self, visit: Visit, target: Target) -> None:
        self._step(Visited(visit, target.slot, self._clock()))

    def failed(self, target: Target, cause: str) -> None:
        if target.slot is not None:
            self._step(VisitFailed(target.slot, cause, target.endpoint.address, self._clock()))

    def obstacle(self) -> WaitFor | None:
        """What keeps this node from being admitted by all; None when nothing does."""
        with self._lock:
            return self._core.obstacle()

    def standing(self) -> WaitFor | Found | Follow:
        """What this node waits for, or who founds."""
        (standing,) = self._step(TimePassed(self._clock()))
        assert isinstance(standing, WaitFor | Found | Follow), standing
        if self._trouble is not None and isinstance(standing, WaitFor):
            return WaitFor(
                f"the votes can't be written to {self._path}: {self._trouble.strerror}", "see df and dmesg"
            )
        return standing

    def _step(self, event: Event) -> list[Action]:
        """Take an event in and do what follows; the actions that are for the caller."""
        left: list[Action] = []
        with self._lock:
            actions = self._core.step(event)
            while actions:
                action = actions.pop(0)
                if isinstance(action, Persist):
                    actions += self._write(action)
                elif isinstance(action, Refuse):
                    raise RefusedError(action.reason, hint=action.hint)
                else:
                    left.append(action)
        return left

    def _write(self, action: Persist) -> list[Action]:
        document = ClaimsDocument.of(self._site_id, action.votes)
        try:
            write_atomic(self._path, document.model_dump_json(indent=1) + "\n", mode=0o600)
        except OSError as error:
            log.error("the votes can't be written to %s: %s", self._path, error)
            self._trouble = error
            return self._core.step(PersistFailed(action.serial, self._clock()))
        self._trouble = None
        return self._core.step(Persisted(action.serial, self._clock()))

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            raise self._trouble


def _read(path: Path, site_id: str) -> ClaimsDocument:
    hint = "votes can't be given twice: wipe the state partition, so that this machine gets a new identity"
    source = Source(f"record of votes {path}", hint=hint, version_hint="boot the newer image that wrote it")
    try:
        document = load_document(path, ClaimsDocument, source)
    except FileNotFoundError:
        return ClaimsDocument(site_id=site_id)
    sync_folder(path.parent)  # an agent that was killed before that showed nothing of it yet
    if document.site_id != site_id:
        raise BadInputError(f"votes {path} are of site {document.site_id}, not of {site_id}", hint=hint)
    return document
