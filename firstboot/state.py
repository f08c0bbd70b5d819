"""The journal: which phases were reached, who founds, where members last answered; format trivet-journal 1.

It speeds nothing up and skips nothing: after a crash every phase looks at the facts again. Only the founder's
decision is binding, and once written it stays.
"""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from firstboot.document import Source, load_document
from firstboot.errors import RefusedError
from firstboot.files import write_atomic
from firstboot.model import Model


class KnownMember(Model):
    """An admitted member: the node that holds the slot, and the addresses at which mutual TLS last succeeded."""

    node_id: str
    address: str
    storage_address: str | None = None


class JournalDocument(Model):
    """The file's content. `phases` holds the moment at which each phase was first done."""

    format: Literal["trivet-journal"] = "trivet-journal"
    version: str = "1.1"
    site_id: str | None = None
    node_id: str | None = None
    phases: dict[str, datetime] = {}
    founder_slot: int | None = Field(default=None, ge=1)
    members: dict[int, KnownMember] = {}


class Journal:
    """The journal of one node; every change is on disk when the call returns. Safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._document = _read(path)
        self._lock = threading.RLock()

    @property
    def document(self) -> JournalDocument:
        return self._document

    def belong(self, *, site_id: str, node_id: str) -> None:
        """Bind the journal to this node of this site; raises RefusedError when it is another's."""
        known = self._document
        if known.site_id not in (None, site_id) or known.node_id not in (None, node_id):
            raise RefusedError(
                f"journal {self._path} belongs to node {known.node_id} of site {known.site_id}, "
                f"this is node {node_id} of site {site_id}",
                hint="the state partition was copied from elsewhere: wipe it to give this machine a new identity",
            )
        self._store(known.model_copy(update={"site_id": site_id, "node_id": node_id}))

    def finish(self, phase: str, now: datetime) -> None:
        """Note that the phase was done; the first time counts."""
        with self._lock:
            if phase not in self._document.phases:
                self._store(self._document.model_copy(update={"phases": {**self._document.phases, phase: now}}))

    def decide_founder(self, slot: int) -> None:
        """Write down who founds; raises RefusedError when another slot was decided before."""
        with self._lock:
            decided = self._document.founder_slot
            if decided not in (None, slot):
                raise RefusedError(f"slot {decided} was decided to be the founder; slot {slot} can't be")
            self._store(self._document.model_copy(update={"founder_slot": slot}))

    def know_members(self, members: dict[int, KnownMember]) -> None:
        """Remember where members answered, for the next start."""
        with self._lock:
            self._store(self._document.model_copy(update={"members": members}))

    def _store(self, document: JournalDocument) -> None:
        if document != self._document:
            write_atomic(self._path, document.model_dump_json(indent=1) + "\n", mode=0o600)
            self._document = document


def _read(path: Path) -> JournalDocument:
    hint = f"keep a copy of {path} for a report, then remove it: every phase looks at the facts again"
    source = Source(f"journal {path}", hint=hint, version_hint="boot the newer image that wrote it")
    try:
        return load_document(path, JournalDocument, source)
    except FileNotFoundError:
        return JournalDocument()
