"""Votes: which node id holds which slot, as this node has promised; format trivet-claims 1.

A vote is given once. It is on disk before anybody learns of it, so that no crash makes a node vote twice.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from firstboot.document import Source, load_document
from firstboot.errors import BadInputError
from firstboot.files import write_atomic
from firstboot.model import Model
from firstboot.seed import Id


class ClaimsDocument(Model):
    """The file's content: node id by slot number."""

    format: Literal["trivet-claims"] = "trivet-claims"
    version: str = "1.0"
    site_id: Id
    claims: dict[int, Id] = {}


@dataclass(frozen=True)
class Granted:
    """The claimant has this node's vote; `changed` when it is new."""

    claims: dict[int, str]
    changed: bool


@dataclass(frozen=True)
class Held:
    """The slot is another node's, which stays."""

    incumbent: str


@dataclass(frozen=True)
class NoSlot:
    """The site has no such slot."""


def consider(claims: dict[int, str], slots: frozenset[int], slot: int, node_id: str) -> Granted | Held | NoSlot:
    """Answer a claim; pure. The incumbent is never evicted, and one node holds one slot."""
    if slot not in slots:
        return NoSlot()
    incumbent = claims.get(slot)
    if incumbent == node_id:
        return Granted(claims, changed=False)
    if incumbent is not None:
        return Held(incumbent)
    if node_id in claims.values():
        return Held(node_id)
    return Granted({**claims, slot: node_id}, changed=True)


class Ballot:
    """This node's persisted votes. Safe to call from any thread."""

    def __init__(self, path: Path, *, site_id: str, slots: frozenset[int]) -> None:
        self._path = path
        self._slots = slots
        self._lock = threading.Lock()
        self._document = _read(path, site_id)

    @property
    def claims(self) -> dict[int, str]:
        return dict(self._document.claims)

    def claim(self, slot: int, node_id: str) -> Granted | Held | NoSlot:
        """Answer a claim; a new vote is fsynced before this returns."""
        with self._lock:
            answer = consider(self.claims, self._slots, slot, node_id)
            if isinstance(answer, Granted) and answer.changed:
                document = self._document.model_copy(update={"claims": answer.claims})
                write_atomic(self._path, document.model_dump_json(indent=1) + "\n", mode=0o600)
                self._document = document
            return answer


def _read(path: Path, site_id: str) -> ClaimsDocument:
    hint = "votes can't be given twice: wipe the state partition, so that this machine gets a new identity"
    source = Source(f"record of votes {path}", hint=hint, version_hint="boot the newer image that wrote it")
    try:
        document = load_document(path, ClaimsDocument, source)
    except FileNotFoundError:
        return ClaimsDocument(site_id=site_id)
    if document.site_id != site_id:
        raise BadInputError(f"votes {path} are of site {document.site_id}, not of {site_id}", hint=hint)
    return document
