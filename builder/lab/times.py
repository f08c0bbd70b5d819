"""Times from power-on to formed, split by phase; format trivet-lab-times 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

from pydantic import ValidationError
from rich.table import Table

from builder.lab.serial import BOOT_STAGES, PHASES
from builder.lab.state import LabFolder
from firstboot.files import write_atomic
from firstboot.model import Model
from firstboot.status import NodeStatus


class Mark(Model):
    """When a node's serial log first showed a stage or phase in this boot."""

    stage: str
    seen: datetime


class Part(Model):
    """A boot stage or phase, and how long it took."""

    name: str
    seconds: float


class NodeTimes(Model):
    """One node's way: `formed_s` runs from power-on; none = not formed in this boot."""

    name: str
    power_on: datetime | None = None
    marks: tuple[Mark, ...] = ()
    parts: tuple[Part, ...] = ()
    formed_s: float | None = None


class LabTimes(Model):
    """All nodes; `slowest` is the one that formed last after its own power-on."""

    format: Literal["trivet-lab-times"] = "trivet-lab-times"
    version: str = "1.0"
    name: str
    nodes: tuple[NodeTimes, ...] = ()
    slowest: str | None = None


def read(folder: LabFolder) -> LabTimes:
    """The times kept so far; none kept is an empty document."""
    try:
        return LabTimes.model_validate_json(folder.times_file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return LabTimes(name=folder.name)


def keep(folder: LabFolder, times: LabTimes) -> None:
    write_atomic(folder.times_file, times.model_dump_json(indent=1) + "\n")


def with_power_on(times: LabTimes, name: str, when: datetime) -> LabTimes:
    """A node's power was switched on: its earlier times are of another boot."""
    others = tuple(node for node in times.nodes if node.name != name)
    nodes = sorted((*others, NodeTimes(name=name, power_on=when)), key=lambda node: node.name)
    return times.model_copy(update={"nodes": tuple(nodes)})


def with_mark(times: LabTimes, name: str, stage: str, when: datetime) -> LabTimes:
    """The first sight of a stage counts."""

    def marked(node: NodeTimes) -> NodeTimes:
        if node.name != name or any(mark.stage == stage for mark in node.marks):
            return node
        return node.model_copy(update={"marks": (*node.marks, Mark(stage=stage, seen=when))})

    return times.model_copy(update={"nodes": tuple(marked(node) for node in times.nodes)})


def with_statuses(times: LabTimes, statuses: Mapping[str, NodeStatus]) -> LabTimes:
    """Split each node's way by the marks of its boot and by what the agent says of its phases."""
    nodes = tuple(split(node, statuses.get(node.name)) for node in times.nodes)
    formed = [node for node in nodes if node.formed_s is not None]
    slowest = max(formed, key=lambda node: node.formed_s or 0.0).name if formed else None
    return times.model_copy(update={"nodes": nodes, "slowest": slowest})


def split(node: NodeTimes, status: NodeStatus | None) -> NodeTimes:
    """Boot stages from the marks, phases from the agent's own clock; what lies between counts as `services`."""
    if node.power_on is None:
        return node
    started = [phase.started for phase in status.phases if phase.started] if status else []
    agent_begin = min(started) if started else None
    parts = _boot_parts(node, agent_begin)
    if status is not None:
        for phase in status.phases:
            if phase.duration_s is not None:
                parts.append(Part(name=phase.name, seconds=round(phase.duration_s, 1)))
    formed_s = node.formed_s
    ends = [mark.seen for mark in node.marks if mark.stage == "formed"]
    if not ends and status is not None and status.phase == "formed":
        # Nobody watched the console: the end of the last phase is when it formed.
        ends = sorted(p.started + timedelta(seconds=p.duration_s or 0) for p in status.phases if p.started)[-1:]
    if ends:
        formed_s = round((ends[0] - node.power_on).total_seconds(), 1)
    return node.model_copy(update={"parts": tuple(parts) or node.parts, "formed_s": formed_s})


def _boot_parts(node: NodeTimes, agent_begin: datetime | None) -> list[Part]:
    assert node.power_on is not None
    points: list[tuple[str, datetime]] = [("firmware", node.power_on)]
    points += [(m.stage, m.seen) for m in node.marks if m.stage in BOOT_STAGES[2:]]
    if agent_begin is not None:
        points = [(stage, seen) for stage, seen in points if seen <= agent_begin]
        points.append(("", agent_begin))
    parts = []
    for (stage, begin), (_, end) in pairwise(points):
        parts.append(Part(name=stage, seconds=round((end - begin).total_seconds(), 1)))
    return parts


def now() -> datetime:
    return datetime.now(UTC)


def table(times: LabTimes) -> Table:
    """A column a node, a row a part, in the order in which they come."""
    result = Table(title=f"lab {times.name}: seconds from power-on to formed")
    result.add_column("part")
    for node in times.nodes:
        result.add_column(node.name + (" (slowest)" if node.name == times.slowest else ""), justify="right")
    for name in _part_names(times.nodes):
        cells = [next((f"{p.seconds:.1f}" for p in node.parts if p.name == name), "-") for node in times.nodes]
        result.add_row(name, *cells)
    totals = ["-" if node.formed_s is None else f"{node.formed_s:.1f}" for node in times.nodes]
    result.add_row("power-on to formed", *totals, style="bold")
    return result


def _part_names(nodes: Sequence[NodeTimes]) -> list[str]:
    known = {part.name for node in nodes for part in node.parts}
    order = (*BOOT_STAGES, *PHASES)
    return sorted(known, key=lambda name: order.index(name) if name in order else len(order))
