"""TCP ports: the agent's own is open from the phase discover on, glusterd's only from the phase pool on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from firstboot import paths
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned
from firstboot.run import run

ASK_LIMIT_S = 30
HOLDER = re.compile(r'\("(?P<program>[^"]*)",pid=(?P<pid>\d+)')


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket and one of the processes that hold it."""

    port: int
    address: str
    program: str
    pid: int | None


def check(node: Node) -> Iterator[Judgement]:
    """Both ports."""
    listeners = read_listeners()
    yield judge_admission(listeners, due=node.finished("discover"), agent_pid=node.agent_pid)
    gluster = node.seed is not None and node.seed.plan.mode.has_gluster
    yield judge_glusterd(
        listeners,
        due=gluster and node.finished("pool"),
        allowed=gluster and (node.entered("pool") or node.ever_finished("pool")),
    )


def read_listeners() -> tuple[Listener, ...]:
    return parse_listeners(run(["ss", "-H", "-l", "-t", "-n", "-p"], timeout_s=ASK_LIMIT_S).stdout)


def parse_listeners(text: str) -> tuple[Listener, ...]:
    """The lines of `ss -Hltnp`: state, two queues, local and peer address, processes."""
    found = []
    for line in text.splitlines():
        words = line.split(maxsplit=5)
        if len(words) < 5:
            continue
        address, _, port = words[3].rpartition(":")
        holder = HOLDER.search(words[5]) if len(words) > 5 else None
        program, pid = (holder["program"], int(holder["pid"])) if holder else ("unknown", None)
        if port.isdecimal():
            found.append(Listener(int(port), address, program, pid))
    return tuple(found)


def judge_admission(listeners: tuple[Listener, ...], *, due: bool, agent_pid: int | None) -> Judgement:
    """The mutual-TLS service; held by anybody but the agent it fails."""
    about = f"{paths.ADMISSION_PORT} (admission)"
    here = [listener for listener in listeners if listener.port == paths.ADMISSION_PORT]
    strangers = [f"{one.program} (process {one.pid})" for one in here if one.pid is None or one.pid != agent_pid]
    if strangers:
        return failed(f"held by {', '.join(strangers)}, not by the agent", "end that program", about=about)
    if here:
        return passed(f"the agent listens on {', '.join(one.address for one in here)}", about=about)
    if not due:
        return skipped("closed, as it should be before phase discover", about=about)
    return failed("nobody listens", "restart the agent: systemctl restart trivet-firstboot", about=about)


def judge_glusterd(listeners: tuple[Listener, ...], *, due: bool, allowed: bool) -> Judgement:
    """Before the phase pool nothing is in place that closes glusterd to strangers: it must not run."""
    about = f"{paths.GLUSTERD_PORT} (glusterd)"
    here = [listener for listener in listeners if listener.port == paths.GLUSTERD_PORT]
    holders = ", ".join(f"{one.program} (process {one.pid})" for one in here)
    if here and not allowed:
        return failed(
            f"{holders} listens before phase pool: it may be that any machine can take this one into its pool",
            "stop it; the agent starts it in time: systemctl disable --now glusterd",
            about=about,
        )
    if here:
        return passed(f"{holders} listens", about=about)
    if due:
        return failed("nobody listens", "journalctl -u glusterd; the agent starts it again by itself", about=about)
    if allowed:
        return warned("nobody listens yet", "glusterd is about to start: trivet-node status", about=about)
    return skipped("closed, as it should be before phase pool", about=about)
