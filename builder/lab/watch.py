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


class NotFormedError(TrivetError):
    """The lab has not formed in its time; the lab stays as it is."""

    exit_code = Exit.WAITING


@dataclass(frozen=True)
class Limits:
    """`limit_s` from the start; any node's getting further gives at least `stall_s` more."""

    limit_s: float
    stall_s: float


def watch(
    folder: LabFolder,
    state: LabState,
    guests: Hypervisor,
    view: View,
    limits: Limits,
    confirm: Callable[[], LabStatus],
) -> LabStatus:
    """Follow the consoles until all nodes have formed and `confirm` (over ssh) agrees; raises NotFormedError."""
    logs = {node.name: SerialLog(folder.node(node.number).serial_log) for node in state.nodes}
    wait = patience.begin(time.monotonic(), limits.limit_s, limits.stall_s)
    asked_s = float("-inf")
    status: LabStatus | None = None
    while True:
        _take(folder, logs, view)
        view.tick()
        progress = {name: log.progress for name, log in logs.items()}
        wait = patience.observe(wait, time.monotonic(), {name: p.rank for name, p in progress.items()})
        dead = _dead(state, guests, progress)
        if dead:
            raise NotFormedError(explain(folder, state, progress, status, dead), hint=_next(state))
        if all(p.formed for p in progress.values()) and time.monotonic() - asked_s > ASK_EVERY_S:
            status = confirm()
            asked_s = time.monotonic()
            if status.formed:
                return status
        if wait.over(time.monotonic()):
            reason = f"lab {state.name} has not formed within its time limit"
            raise NotFormedError(explain(folder, state, progress, status, reason), hint=_next(state))
        time.sleep(LOOK_EVERY_S)


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


def _take(folder: LabFolder, logs: Mapping[str, SerialLog], view: View) -> None:
    changed = False
    kept = times.read(folder)
    for name, log in logs.items():
        for progress in log.read():
            view.progress(name, progress)
            kept = times.with_mark(kept, name, progress.stage, times.now())
            changed = True
    if changed:
        times.keep(folder, kept)


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
