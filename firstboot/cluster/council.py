"""This node's part of the register, run over a file (format trivet-register 1) and calls to the other members."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from firstboot.cluster import admission
from firstboot.cluster.admission import Admitted, Pending, Sponsor
from firstboot.cluster.bids import NO_BID, Accepted, Bid, Question, Reaction, RegisterState
from firstboot.cluster.changes import Change, ClaimSlot, Refusal
from firstboot.cluster.members import Members
from firstboot.cluster.proceedings import (
    Action,
    Asked,
    Call,
    Denied,
    Elapsed,
    End,
    Event,
    Finished,
    GivenUp,
    Made,
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
from firstboot.cluster.register import TIMING, Register
from firstboot.document import Source, load_document
from firstboot.errors import BadInputError, RefusedError, TrivetError
from firstboot.files import sync_folder, write_atomic
from firstboot.model import Model
from firstboot.seed import Id

log = logging.getLogger(__name__)

WORKERS = 16
TICK_S = 0.5

Caller = Callable[[str, Question], Reaction]
"""Asks a node, by its id; raises TrivetError with the cause in one line when there is no answer."""


class RegisterDocument(Model):
    """The file's content; see firstboot.cluster.bids.RegisterState."""

    format: Literal["trivet-register"] = "trivet-register"
    version: str = "1.1"
    site_id: Id
    members: Members | None = None
    promised: Bid = NO_BID
    accepted: Accepted | None = None


class MembersDocument(Model):
    """The document of one epoch, as members hand it on."""

    format: Literal["trivet-members"] = "trivet-members"
    version: str = "1.1"
    members: Members


def digest(members: Members) -> str:
    """128 bits in hex: the first half of the SHA-256 of the document's JSON with sorted keys."""
    fields = MembersDocument(members=members).model_dump(mode="json", include={"members"})
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]


class NotMadeError(TrivetError):
    """Too few members answered. With `open`, the change may still be made."""

    def __init__(self, end: GivenUp) -> None:
        hint = "it may have been made all the same: look again" if end.open else "nothing was changed"
        super().__init__(end.reason, hint=hint)
        self.open = end.open


@dataclass(slots=True)
class _Wish:
    done: threading.Event = field(default_factory=threading.Event)
    end: End | None = None


class Council:
    """Safe to call from any thread; `close` ends its own ones."""

    def __init__(
        self,
        path: Path,
        node_id: str,
        *,
        site_id: str,
        clock: Callable[[], float],
        call: Caller,
        changed: Callable[[Members], None] = lambda _: None,
        expected: bool = False,
        timing: Timing = TIMING,
    ) -> None:
        """`changed` is told of every new epoch. `expected`: this node had a register before, which must be there.

        Raises RefusedError when it is not: what this node promised can't be promised anew.
        """
        self._path = path
        self._site_id = site_id
        self._clock = clock
        self._call = call
        self._changed = changed
        self._lock = threading.Lock()
        self._register = Register(node_id, random.SystemRandom(), timing)
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="council")
        self._stop = threading.Event()
        self._work = threading.Event()
        self._wishes: dict[int, _Wish] = {}
        self._requests = 0
        self._digested: tuple[Members, str] | None = None
        self._told_epoch = 0
        self._telling = threading.RLock()
        self._step(Opened(_read(path, site_id, expected), clock()))
        threading.Thread(target=self._tick, name="council", daemon=True).start()

    @property
    def members(self) -> Members | None:
        """The latest epoch that this node knows; there may be a later one."""
        return self._register.members

    @property
    def consented(self) -> Members | None:
        """The document of the next epoch to which this node gave its consent last; it need not be settled."""
        accepted = self._register.state.accepted
        return accepted.members if accepted is not None else None

    def digest_of(self, members: Members) -> str:
        """That of a document, made once as long as the same one is asked for."""
        known = self._digested
        if known is None or known[0] is not members:
            known = self._digested = members, digest(members)
        return known[1]

    @property
    def trouble(self) -> str:
        """Why a wish of this node is not made yet; empty when nothing went wrong so far."""
        return self._register.trouble

    def learn(self, members: Members) -> None:
        """This epoch is settled: it was decided, or somebody who is to be believed shows it."""
        known = self._register.members
        if known is None or known.epoch < members.epoch:
            self._step(Settled(members, self._clock()))

    def answer(self, sender: str, question: Question) -> Reaction:
        """Answer a node that TLS proved and that may ask; what it promises is fsynced before this returns."""
        actions = self._step(Asked(0, sender, question, self._clock()))
        return next(action.reaction for action in actions if isinstance(action, Respond))

    def make(self, change: Change | None, progress: Callable[[str], None] = lambda _: None) -> Members:
        """Make the change, and wait for its end; with none, the document as the members have it now.

        `progress` is told why it takes long. Raises RefusedError when it can't be made, NotMadeError when too few
        members answer.
        """
        wish, told = self._want(change), ""
        while not wish.done.wait(TICK_S):
            if self._stop.is_set():
                raise TrivetError("the agent stops", hint="look again once it runs: what was begun may be made")
            if self.trouble and self.trouble != told:
                told = self.trouble
                progress(told)
        match wish.end:
            case Made():
                return wish.end.members
            case Denied():
                raise RefusedError(wish.end.refusal.reason, hint=wish.end.refusal.hint)
            case GivenUp():
                raise NotMadeError(wish.end)
        raise AssertionError("a wish ended without an end")

    def propose(self, change: Change) -> None:
        """Want a change that this node finds due, and look later what became of it; one at a time."""
        if not self._register.busy:
            self._want(change)

    def admit(self, claim: ClaimSlot, answering: Collection[int]) -> Admitted | Sponsor | Pending | Refusal | None:
        """What becomes of a proved machine's claim; None when this node is in no cluster. Does not wait for it.

        `answering`: the slots whose members answer this node.
        """
        members, own_id = self._register.members, self._register.node_id
        if members is None or own_id not in members.nodes:
            return None
        verdict = admission.consider(members, own_id, answering, claim)
        if isinstance(verdict, Sponsor) and not self._register.busy:
            self._want(verdict.change)
        return verdict

    def close(self) -> None:
        self._stop.set()
        self._work.set()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _want(self, change: Change | None) -> _Wish:
        wish = _Wish()
        with self._lock:
            self._requests += 1
            request = self._requests
            self._wishes[request] = wish
        self._step(Wanted(request, change, self._clock()))
        self._work.set()
        return wish

    def _step(self, event: Event) -> list[Action]:
        """Take an event in and do what follows; the actions that are for the caller."""
        left: list[Action] = []
        with self._lock:
            actions = self._register.step(event)
            while actions:
                action = actions.pop(0)
                match action:
                    case Save():
                        actions += self._register.step(self._save(action))
                    case Call():
                        self._workers.submit(self._ask, action)
                    case Finished():
                        wish = self._wishes.pop(action.request)
                        wish.end = action.end
                        wish.done.set()
                    case Respond():
                        left.append(action)
        self._tell()
        return left

    def _tell(self) -> None:
        """Tell of a new epoch: each once, in their order, whichever thread learned it."""
        members = self._register.members
        if members is None or members.epoch <= self._told_epoch:
            return
        with self._telling:
            members = self._register.members
            assert members is not None
            if members.epoch > self._told_epoch:
                self._told_epoch = members.epoch
                self._changed(members)

    def _ask(self, action: Call) -> None:
        if self._stop.is_set():
            return
        try:
            reaction = self._call(action.node_id, action.question)
        except TrivetError as error:
            self._step(Unanswered(action.call, action.node_id, error.message, self._clock()))
        except Exception as error:
            log.exception("node %s could not be asked", action.node_id)
            self._step(Unanswered(action.call, action.node_id, f"{type(error).__name__}: {error}", self._clock()))
        else:
            self._step(Reacted(action.call, action.node_id, reaction, self._clock()))

    def _save(self, action: Save) -> Saved | SaveFailed:
        state = action.state
        document = RegisterDocument(
            site_id=self._site_id, members=state.members, promised=state.promised, accepted=state.accepted
        )
        try:
            write_atomic(self._path, document.model_dump_json(indent=1) + "\n", mode=0o600)
        except OSError as error:
            log.error("the register can't be written to %s: %s", self._path, error)
            return SaveFailed(action.serial, self._clock())
        return Saved(action.serial, self._clock())

    def _tick(self) -> None:
        """Tell the register of the time while it has something to do."""
        while not self._stop.is_set():
            self._work.wait()
            self._work.clear()
            while self._register.busy and not self._stop.wait(TICK_S):
                self._step(Elapsed(self._clock()))


def _read(path: Path, site_id: str, expected: bool) -> RegisterState:
    hint = (
        "what a member promised can't be promised anew: let another member release this slot, and wipe this machine"
    )
    source = Source(f"register {path}", hint=hint, version_hint="boot the newer image that wrote it")
    try:
        document = load_document(path, RegisterDocument, source)
    except FileNotFoundError:
        if expected:
            raise RefusedError(f"register {path} of this member is gone", hint=hint) from None
        return RegisterState()
    sync_folder(path.parent)  # an agent that was killed before that said nothing of it yet
    if document.site_id != site_id:
        raise BadInputError(f"register {path} is of site {document.site_id}, not of {site_id}", hint=hint)
    return RegisterState(document.members, document.promised, document.accepted)
