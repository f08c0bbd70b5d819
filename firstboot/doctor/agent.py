"""The agent: does one run, what does it say, and which version is it?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from firstboot.clock import build_stamp
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned
from firstboot.status import NodeStatus, PhaseState

START = "systemctl restart trivet-firstboot; why it ended: journalctl -u trivet-firstboot"


def check(node: Node) -> Iterator[Judgement]:
    """Process, status, version."""
    yield judge_process(node.agent_pid)
    yield judge_status(node.status, alive=node.agent_pid is not None, now=datetime.now(UTC))
    for problem in node.status.problems if node.status is not None else ():
        yield failed(problem, "it is looked at again every minute: trivet-node status", about="problem")
    yield judge_version(build_stamp())


def judge_process(pid: int | None) -> Judgement:
    """Who holds the agent's lock."""
    if pid is None:
        return failed("no agent runs on this machine", START, about="process")
    return passed(f"process {pid}", about="process")


def judge_status(status: NodeStatus | None, *, alive: bool, now: datetime) -> Judgement:
    """What the agent said last."""
    if status is None and not alive:
        return skipped("no agent has run since this machine was started", about="phase")
    if status is None:
        return failed("it has said nothing since this machine was started", START, about="phase")
    minutes = max((now - status.since).total_seconds(), 0.0) / 60
    stale = "" if alive else "last words: "
    said = f"{stale}{status.phase} ({status.state.value}) for {minutes:.0f} min: {status.reason}"
    if status.state is PhaseState.FAILED:
        return failed(said, status.hint or START, about="phase")
    if status.state is PhaseState.DONE:
        return passed(said, about="phase")
    return warned(said, status.hint or "wait; the log says more: journalctl -u trivet-firstboot", about="phase")


def judge_version(stamp: dict[str, object]) -> Judgement:
    """The image's stamp, by which nodes are compared."""
    if "version" not in stamp:
        return skipped("this is no image; trivet-node version says the agent's", about="version")
    epoch, key = stamp.get("epoch"), str(stamp.get("key", ""))
    built = f", built {datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M} UTC" if isinstance(epoch, int) else ""
    return passed(f"Trivet {stamp['version']}{built}, content {key[:12] or 'unknown'}", about="version")
