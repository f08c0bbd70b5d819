"""Named steps with their times: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console


@dataclass(frozen=True)
class Step:
    """A finished step."""

    name: str
    duration_s: float


@dataclass
class Progress:
    """Says on standard error what is done right now, and remembers how long each step took."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    quiet: bool = False
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Run a step; what it yields takes a word on where the step is."""
        started = time.monotonic()
        if self.console.is_terminal and not self.quiet:
            with self.console.status(name) as status:
                yield lambda detail: status.update(f"{name}  [dim]{detail}[/dim]")
        else:
            yield lambda detail: None
        step = Step(name, time.monotonic() - started)
        self.steps.append(step)
        self.say(f"{step.duration_s:7.1f} s  {name}")

    def say(self, text: str) -> None:
        """A line that stays."""
        if not self.quiet:
            self.console.print(text, markup=False, soft_wrap=True)
            sys.stderr.flush()
