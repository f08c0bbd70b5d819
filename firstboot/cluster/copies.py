"""Machines that run as one node, because a disk was copied: which is the node, and which stays out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from firstboot.cluster.events import Visit
from firstboot.cluster.views import View

ANOTHER_AFTER_S = 300.0
"""A node in another machine than before is believed once the former was silent for so long: a restart is shorter."""
FORGET_AFTER_S = 2 * ANOTHER_AFTER_S


class Standing(StrEnum):
    """What this machine is, when another one runs as the same node."""

    NODE = "node"
    COPY = "copy"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that runs as a node: its view, where it answered, and when (monotonic)."""

    view: View
    address: str
    heard_s: float


@dataclass(frozen=True, slots=True)
class Sorted:
    """A round of visits: the places of what is believed; the nodes' machines by node id; all other machines."""

    believed: frozenset[int]
    nodes: Mapping[str, Machine]
    twins: tuple[Machine, ...]


def standing(own_run: str, twin: Machine, runs: Iterable[str | None], own_address: str, remembered: str) -> Standing:
    """Whether this machine or its twin is the node. Both come to the same, or to nothing.

    It is the one that the other members knew first: `runs` are those that they say this node has. When that does not
    decide it, it is the one at the address where the node was `remembered` before both started.
    """
    known = list(runs)
    for_own, for_twin = known.count(own_run), known.count(twin.view.run)
    if for_own != for_twin:
        return Standing.NODE if for_own > for_twin else Standing.COPY
    if remembered and (own_address == remembered) != (twin.address == remembered):
        return Standing.NODE if own_address == remembered else Standing.COPY
    return Standing.OPEN


def sort(
    visits: Sequence[Visit | None],
    nodes: Mapping[str, Machine],
    remembered: Mapping[str, str],
    own_id: str,
    own_run: str,
    now_s: float,
) -> Sorted:
    """Tell nodes from copies of them in a round of visits; `remembered` are addresses known before, by node id.

    A node stays the machine that was known first while that answers. When it does not, the same machine started
    again is believed at once, another one only when the former was silent for `ANOTHER_AFTER_S`, and one that says
    that it is a copy never. Who runs as this very node is never believed.
    """
    met = [
        (place, Machine(visit.view, visit.endpoint.address, now_s))
        for place, visit in enumerate(visits)
        if visit is not None and isinstance(visit.view, View)
    ]
    after = {node: machine for node, machine in nodes.items() if now_s - machine.heard_s < FORGET_AFTER_S}
    for node in {machine.view.node_id for _, machine in met} - {own_id}:
        machines = [machine for _, machine in met if machine.view.node_id == node and not machine.view.is_copy]
        chosen = _choose(machines, after.get(node), remembered.get(node))
        if chosen is not None:
            after[node] = chosen
    believed, twins = set(), []
    for place, machine in met:
        node, run = machine.view.node_id, machine.view.run
        if node == own_id:
            if run != own_run:
                twins.append(machine)
        elif node in after and after[node].view.run == run and not machine.view.is_copy:
            believed.add(place)
        else:
            twins.append(machine)
    return Sorted(frozenset(believed), after, tuple(twins))


def _choose(machines: Sequence[Machine], before: Machine | None, remembered: str | None) -> Machine | None:
    if not machines:
        return None
    if before is None:
        return next((machine for machine in machines if machine.address == remembered), machines[0])
    for machine in machines:
        if machine.view.run == before.view.run:
            return machine
    for machine in machines:
        known, found = before.view.facts, machine.view.facts
        other = known is not None and found is not None and known.same_machine(found) is False
        if not other or machine.heard_s - before.heard_s >= ANOTHER_AFTER_S:
            return machine
    return None
