"""A clock of its own for a node's agent: namespaces share the machine's, which nothing here may set."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.netns.namespaces import HERE, LabError, Node, command

AHEAD = "/run/clock-ahead"
"""How far the clock is ahead of the machine's, in seconds, with its sign; as real time, it is gone at power-off."""
SET = "/run/clock-set.log"
"""What the clock was set to, in epoch seconds, a line each (standins/date)."""
STUCK = "/run/clock-stuck"
"""Where this file is, the clock can't be set."""


@cache
def library() -> Path:
    """clock.c, compiled for this run of the tests; beside them, because nodes see the machine's own files there."""
    made = HERE / "__pycache__" / f"clock-{os.getpid()}.so"
    made.parent.mkdir(exist_ok=True)
    command("gcc", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", made, HERE / "clock.c")
    return made


@dataclass(frozen=True)
class FakeClock:
    """A clock that is so far ahead of this machine's when its node starts; a negative number is behind."""

    ahead_s: float

    def words(self, node: Node) -> list[str]:
        """What a command begins with, to see this clock; monotonic clocks stay true."""
        if node.read(AHEAD) is None:
            node.write(AHEAD, f"{self.ahead_s:+.3f}\n".encode())
        return ["env", f"LD_PRELOAD={library()}", f"TRIVET_CLOCK={AHEAD}"]


def at(epoch_s: float) -> FakeClock:
    """A clock that shows this now."""
    return FakeClock(epoch_s - time.time())


def ahead_s(node: Node) -> float:
    """How far the node's clock is ahead of the machine's now."""
    text = node.read(AHEAD)
    if text is None:
        raise LabError(f"{node.name} has no clock of its own")
    return float(text)


def settings(node: Node) -> list[float]:
    """Every time to which the node's clock was set, or was to be."""
    return [float(line) for line in (node.read(SET) or "").split()]
