"""Waiting until a lab has formed: every node says so on its console, then over ssh; or what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from builder.lab import patience, times
from builder.lab.hypervisor import Hypervisor, Power
from builder.lab.machine import guest_name
from builder.lab.report import LabStatus
from builder.lab.serial import FATAL, Progress, SerialLog
from builder.lab.state import LabFolder, LabState
from builder.lab.view import View
from firstboot.errors import Exit, TrivetError

LOOK_EVERY_S = 0.5
ASK_EVERY_S = 10.0
"""Once all consoles say that the nodes have formed."""

ASK_IN_DOUBT_S = 120.0
"""While some do not: a console may lose a line."""


class NotFormedError(TrivetError):
    """The lab has not formed in its time; the lab stays as it is."""

    exit_code = Exit.WAITING


@dataclass(frozen=True)
class Limits:
    """`limit_s` from the start; any node's getting further gives at least `stall_s` more."""

    limit_s: float
    stall_s: float


@dataclass
class Watcher:
    """Follows the serial logs of a lab's nodes, and keeps when each stage was first seen."""

    folder: LabFolder
    state: LabState
    view: View

    def __post_init__(self) -> None:
        nodes = self.state.nodes
        self.logs = {node.name: SerialLog(self.folder.node(node.number).serial_log) for node in nodes}
        for name, log in self.logs.items():
            if log.read():  # of an earlier command's time: shown, but nothing to take the time of
                self.view.progress(name, log.progress)

    @property
    def progress(self) -> dict[str, Progress]:
        return {name: log.progress for name, log in self.logs.items()}

    def look(self) -> None:
        """Take what the logs have got since."""
        seen = [(name, progress) for name, log in self.logs.items() for progress in log.read()]
        for name, progress in seen:
            self.view.progress(name, progress)
        if seen:
            kept = times.read(self.folder)
            for name, progress in seen:
                kept = times.with_mark(kept, name, progress.stage, times.now())
            times.keep(self.folder, kept)
        self.view.tick()

    def pause(self, seconds: float) -> None:
        """Look on for that long."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.look()
            time.sleep(LOOK_EVERY_S)

    def until_formed(self, guests: Hypervisor, limits: Limits, confirm: Callable[[], LabStatus]) -> LabStatus:
        """Look on until all nodes say that they have formed and `confirm` (over ssh) agrees, else NotFormedError."""
        wait = patience.begin(time.monotonic(), limits.limit_s, limits.stall_s)
        asked_s = time.monotonic() - ASK_EVERY_S
        status: LabStatus | None = None
        while True:
            self.look()
            progress = self.progress
            wait = patience.observe(wait, time.monotonic(), {name: p.rank for name, p in progress.items()})
            if time.monotonic() - asked_s > _ask_after_s(progress):
                status = confirm()
                asked_s = time.monotonic()
                if status.formed:
                    return status
            reason = _dead(self.state, guests, progress)
            if not reason and wait.over(time.monotonic()):
                reason = f"lab {self.state.name} has not formed within its time limit"
            if reason:
                raise NotFormedError(
                    explain(self.folder, self.state, progress, status, reason), hint=_next(self.state)
                )
            time.sleep(LOOK_EVERY_S)


def _ask_after_s(progress: Mapping[str, Progress]) -> float:
    if all(p.formed for p in progress.values()):
        return ASK_EVERY_S
    return ASK_IN_DOUBT_S if all(p.from_agent for p in progress.values()) else float("inf")


def explain(
    folder: LabFolder, state: LabState, progress: Mapping[str, Progress], status: LabStatus | None, reason: str
) -> str:
    """The reason, then a line for every node: how far it is, what it waits for, where its serial log is."""
    lines = [reason]
    answers = {node.name: node for node in status.nodes} if status else {}
    for node in state.nodes:
        far = progress[node.name]
        text = f"{far.stage}: {far.text}" if far.from_agent else far.text
        answer = answers.get(node.name)
        if far.formed and answer is not None and not (answer.reached and answer.phase == "formed"):
            text = f"formed on its console, but over ssh: {answer.phase} {answer.reason}".rstrip()
        lines.append(f"  {node.name}: {text}")
        lines.append(f"    serial log: {folder.node(node.number).serial_log}")
    missing = len(state.plan.slots) - len(state.nodes)
    if missing > 0:
        names = ", ".join(slot.name for slot in state.plan.slots if slot.number > len(state.nodes))
        lines.append(
            f"  not started: {names} ({missing} of {len(state.plan.slots)} slots); a site forms when all are there"
        )
    return "\n".join(lines)


def _dead(state: LabState, guests: Hypervisor, progress: Mapping[str, Progress]) -> str:
    """Why waiting is in vain, or nothing."""
    for node in state.nodes:
        if guests.power(guest_name(state.name, node.name)) is not Power.ON:
            return f"the machine of {node.name} has stopped"
        trouble = progress[node.name].trouble
        if any(word in trouble for word in FATAL):
            return f"{node.name} can't boot: {trouble}"
    return ""


def _next(state: LabState) -> str:
    first = state.nodes[0].number
    return (
        f"look at a console: trivet lab console {first} --name {state.name}; "
        f"wait on: trivet lab up again; give up: trivet lab down --name {state.name}"
    )
