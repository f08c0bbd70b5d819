"""The real agent in a namespaced node: started, watched through what it says of itself, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from firstboot.paths import JOURNAL, STATUS
from firstboot.seed import Seed, encode
from firstboot.state import JournalDocument
from firstboot.status import NodeStatus
from tests.netns.clocks import FakeClock
from tests.netns.namespaces import LabError, Node, child_of, die_with_parent

SEED_FILE = "/srv/seed.json"
STALL_S = 600.0
"""How long nothing at all may change while waiting: formation takes 15-25 s on two quiet cores; but when an answer
between two glusterds is lost, the one that asked keeps a volume's lock for four minutes, or six."""
PAUSE_S = 0.2


@dataclass
class Agent:
    """The agent of one node; its output goes to a log in the node's folder, which outlives it."""

    node: Node
    seed: Seed | None
    clock: FakeClock | None = None
    process: subprocess.Popen[bytes] | None = None
    logs: list[Path] = field(default_factory=list)
    program: tuple[str, ...] = (sys.executable, "-m", "firstboot")
    handles: tuple[int, ...] = ()
    """Descriptors that the agent inherits."""

    def start(self) -> None:
        """Start it, with the seed as a file when it has one."""
        assert self.process is None
        # What an earlier run said must not be taken for this one's word.
        self.node.run("rm", "-f", STATUS)
        given: tuple[str, ...] = ()
        if self.seed is not None:
            self.node.write(SEED_FILE, encode(self.seed))
            given = ("--seed", SEED_FILE)
        clock = self.clock.words(self.node) if self.clock is not None else []
        self.logs.append(self.node.folder / f"agent-{len(self.logs)}.log")
        with self.logs[-1].open("wb") as log:
            self.process = subprocess.Popen(
                self.node.argv(*clock, *self.program, "run", "--debug", *given),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
                pass_fds=self.handles,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the agent itself (nsenter is its parent), and wait for its end."""
        assert self.process is not None
        os.kill(child_of(self.process.pid), number)
        self.process.wait(timeout=60)
        self.process = None

    def kill(self) -> None:
        """As a crash: SIGKILL."""
        self.signal(signal.SIGKILL)

    def stop(self) -> None:
        """As systemd stops it: SIGTERM."""
        self.signal(signal.SIGTERM)

    def forget(self) -> None:
        """Its node lost power."""
        assert self.process is not None
        self.process.wait(timeout=60)
        self.process = None

    @property
    def status(self) -> NodeStatus | None:
        text = self.node.read(STATUS)
        return NodeStatus.model_validate_json(text) if text else None

    @property
    def journal(self) -> JournalDocument:
        text = self.node.read(JOURNAL)
        return JournalDocument.model_validate_json(text) if text else JournalDocument()

    @staticmethod
    def argv_of(*words: str) -> list[str]:
        """A `trivet-node` command, to be run in the node."""
        return [sys.executable, "-m", "firstboot", *words]

    @property
    def text(self) -> str:
        """The log of this run, or of the last one."""
        return self.logs[-1].read_text(errors="replace") if self.logs else ""

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.text.splitlines()[-lines:])

    def commands(self, run: int = -1) -> list[str]:
        """Every command of a run, the present one unless another is named, as its debug log has them."""
        text = self.logs[run].read_text(errors="replace")
        marker = " DEBUG firstboot.run: "
        return [line.partition(marker)[2].rpartition(" -> ")[0] for line in text.splitlines() if marker in line]


def wait_until(what: str, agents: list[Agent], reached: Callable[[], bool], *, stall_s: float = STALL_S) -> None:
    """Wait for a fact. Fails only when nothing about the nodes has changed for `stall_s`, and says all it knows."""
    seen: set[str] = set()
    changed = time.monotonic()
    while not reached():
        for agent in agents:
            if agent.process is not None and agent.process.poll() is not None:
                raise LabError(f"the agent of {agent.node.name} ended by itself:\n{agent.tail()}")
        now = picture(agents)
        # A failing phase that is tried again and again goes round in the same few pictures: that is no progress.
        if now not in seen:
            seen.add(now)
            changed = time.monotonic()
        if time.monotonic() - changed > stall_s:
            logs = "".join(f"\n--- {agent.node.name}\n{agent.tail()}" for agent in agents)
            raise LabError(f"{what}: nothing changed for {stall_s:g} s\n{now}{logs}")
        time.sleep(PAUSE_S)


def picture(agents: list[Agent]) -> str:
    """Everything that shows progress, in words."""
    lines = []
    for agent in agents:
        status = agent.status
        known = json.dumps(agent.journal.model_dump(mode="json"), sort_keys=True)
        said = f"{status.phase} {status.state.value}: {status.reason}; {status.problems}" if status else "silent"
        lines.append(f"{agent.node.name}: {said} {known}")
    return "\n".join(lines)


def is_formed(agent: Agent) -> bool:
    """Whether the node says so, and sees all it should."""
    status = agent.status
    return status is not None and status.phase == "formed" and not status.problems


def says(agent: Agent, state: str, *words: str) -> bool:
    """Whether the node is in that state, for a reason that has all the words."""
    status = agent.status
    return status is not None and status.state.value == state and all(w in status.reason for w in words)
