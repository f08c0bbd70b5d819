"""Keeps apart the machines that run as one node, round by round; one that is a copy stays out, and remembers it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from firstboot import paths
from firstboot.cluster import copies
from firstboot.cluster.copies import Machine, Standing
from firstboot.cluster.events import Identity, Visit
from firstboot.cluster.founder import COPY_HINT, short
from firstboot.cluster.views import Known, View
from firstboot.document import Source, load_document
from firstboot.files import write_atomic
from firstboot.model import Model
from firstboot.phases import Wait
from firstboot.seed import Id

log = logging.getLogger(__name__)

TWIN_AGE_S = 30.0
"""A twin that was not met for so long is not named any more: three rounds of visits on a formed site."""
HINT = (
    f"wipe this machine's state, and it is a new one; if that other machine is gone for good: rm {paths.COPY}, and "
    "restart the agent"
)


class CopyDocument(Model):
    """The file copy.json: the node that this state is a copy of, and where that answered."""

    format: Literal["trivet-copy"] = "trivet-copy"
    version: str = "1.0"
    node_id: Id
    address: str
    found: datetime


class Twins:
    """For one run of the agent. `remembered` are addresses from before this start, by node id."""

    def __init__(
        self,
        identity: Identity,
        remembered: Mapping[str, str],
        *,
        own_address: Callable[[], str | None],
        monotonic: Callable[[], float],
        path: Path = paths.COPY,
    ) -> None:
        self._identity = identity
        self._remembered = remembered
        self._own_address = own_address
        self._monotonic = monotonic
        self._path = path
        self._nodes: dict[str, Machine] = {}
        self._twins: dict[tuple[str, str | None], Machine] = {}
        self._opinions: dict[str, Known] = {}
        self._looked = False
        self._rounds = 0
        marked = _read(path)
        self._marked = marked if marked is not None and marked.node_id == identity.node_id else None

    @property
    def is_copy(self) -> bool:
        """Whether this machine's state is known to be a copy."""
        return self._marked is not None

    def known(self, node_id: str) -> Known | None:
        """What this node tells a node about itself: which run of it it knows, and where."""
        machine = self._nodes.get(node_id)
        return Known(run=machine.view.run, address=machine.address) if machine is not None else None

    def believes(self, visit: Visit) -> bool:
        """Whether this visit need not be compared with the others of its round: it is of the machine that is known.

        The first one becomes known, unless the node was remembered elsewhere.
        """
        view, address = visit.view, visit.endpoint.address
        if not isinstance(view, View) or view.is_copy or view.node_id == self._identity.node_id:
            return False
        known = self._nodes.get(view.node_id)
        if known is None and self._remembered.get(view.node_id, address) == address:
            self._nodes[view.node_id] = known = Machine(view, address, self._monotonic())
        return known is not None and known.view.run == view.run

    def sort(self, goals: Sequence[str], visits: Sequence[Visit | None]) -> frozenset[int]:
        """Take in a round of visits, `goals` their addresses; the places of those that the core is to be told of."""
        now_s, me = self._monotonic(), self._identity
        found = copies.sort(visits, self._nodes, self._remembered, me.node_id, me.run, now_s)
        self._nodes = dict(found.nodes)
        fresh = {key: twin for key, twin in self._twins.items() if now_s - twin.heard_s < TWIN_AGE_S}
        self._twins = fresh | {(twin.view.node_id, twin.view.run): twin for twin in found.twins}
        views = [visit.view for place in found.believed if (visit := visits[place]) is not None]
        said = {view.node_id: view.you for view in views if isinstance(view, View) and view.you is not None}
        # Put in place whole: other threads read it.
        self._opinions = {node: known for node, known in {**self._opinions, **said}.items() if node in found.nodes}
        self._looked |= self._former in goals
        self._rounds += 1
        twin = self._own_twin()
        if twin is None or self._standing(twin) is Standing.NODE:
            return found.believed
        # The core votes for nothing more while it is open which machine is the node.
        return found.believed | {place for place, visit in enumerate(visits) if visit and visit.view is twin.view}

    @property
    def suspects(self) -> frozenset[str]:
        """Where another machine may run as this node: where others say so, and once where it was itself before."""
        told = {known.address for known in self._opinions.values() if known.run != self._identity.run}
        before = set() if self._looked else {self._former}
        return frozenset(address for address in told | before if address and address != self._own_address())

    @property
    def _former(self) -> str:
        """This node's address before this start, on whatever machine."""
        return self._remembered.get(self._identity.node_id, "")

    def step(self) -> Wait | None:
        """Why this machine has to stay out, if it has; writes down that it is a copy."""
        twin = self._own_twin()
        if self._marked is None and twin is not None and self._standing(twin) is Standing.COPY:
            self._mark(twin)
        if self._marked is not None:
            return Wait(self._out(self._marked), HINT)
        if twin is not None and self._standing(twin) is Standing.OPEN:
            return Wait(
                f"another machine, at {twin.address}, runs as this very node {short(self._identity.node_id)}, and "
                "nobody knows which of the two was first",
                COPY_HINT,
            )
        if not self._rounds:
            return Wait("asking the members once before going on")
        if self.suspects:
            return Wait(
                f"another machine, at {', '.join(sorted(self.suspects))}, may run as this very node: looking there",
                f"if that one is gone, this one is believed within {copies.ANOTHER_AFTER_S / 60:g} minutes",
            )
        return None

    @property
    def problems(self) -> tuple[str, ...]:
        """The copies that there are, by the names of their slots."""
        told = []
        for twin in sorted(self._twins.values(), key=lambda twin: (twin.view.slot, twin.address)):
            own = twin.view.node_id == self._identity.node_id
            name = "this machine" if own else self._identity.names.get(twin.view.slot, "?")
            does = "stays out" if twin.view.is_copy else "runs"
            if not (own and self.is_copy):
                told.append(f"a copy of {name} {does} at {twin.address}: node {short(twin.view.node_id)}")
        return tuple(told)

    def _own_twin(self) -> Machine | None:
        """The machine that runs as this node and does not stay out."""
        own = [twin for (node, _), twin in self._twins.items() if node == self._identity.node_id]
        return next((twin for twin in own if not twin.view.is_copy), None)

    def _standing(self, twin: Machine) -> Standing:
        runs = [known.run for known in self._opinions.values()]
        return copies.standing(self._identity.run, twin, runs, self._own_address() or "", self._former)

    def _mark(self, twin: Machine) -> None:
        made = CopyDocument(node_id=self._identity.node_id, address=twin.address, found=datetime.now(UTC))
        write_atomic(self._path, made.model_dump_json(indent=1) + "\n", mode=0o600)
        self._marked = made
        log.error("%s", self._out(made))

    def _out(self, marked: CopyDocument) -> str:
        name = self._identity.names[self._identity.slot]
        return (
            f"a copy of this machine ({name}, node {short(marked.node_id)}) runs at {marked.address}, and was known "
            "first: this one stays out"
        )


def _read(path: Path) -> CopyDocument | None:
    source = Source(f"record {path}", hint=f"rm {path}: it is written again if this machine is a copy")
    try:
        return load_document(path, CopyDocument, source)
    except FileNotFoundError:
        return None
