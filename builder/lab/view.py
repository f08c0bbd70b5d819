"""What a person sees while a lab comes up: a live table on a terminal, elsewhere one line a change."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from builder.lab.serial import Progress


@dataclass
class _Row:
    progress: Progress = field(default_factory=Progress)
    changed_s: float = 0.0


@dataclass
class View:
    """Says steps and each node's progress on stderr, with the seconds since the start."""

    names: tuple[str, ...]
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    def __post_init__(self) -> None:
        self._begin = time.monotonic()
        self._rows = {name: _Row() for name in self.names}
        self._live = Live(console=self.console, get_renderable=self._table, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._begin

    def step(self, text: str) -> None:
        """One thing that the lab does now."""
        self.console.print(f"[{self.elapsed_s:6.1f} s] {text}", markup=False, soft_wrap=True)

    def progress(self, name: str, progress: Progress) -> None:
        """A node's progress has changed."""
        self._rows[name] = _Row(progress, self.elapsed_s)
        if not self.console.is_terminal:
            phase = f"{progress.stage} " if progress.from_agent else ""
            self.step(f"{name}: {phase}{progress.text}")

    def tick(self) -> None:
        """Let the clock in the live table go on."""
        if self.console.is_terminal:
            self._live.refresh()

    def _table(self) -> Table:
        table = Table(title=f"{self.elapsed_s:.0f} s", expand=False)
        for heading in ("node", "phase", "what", "for"):
            table.add_column(heading)
        for name, row in self._rows.items():
            stage = row.progress.stage if row.progress.from_agent else "-"
            table.add_row(name, stage, row.progress.text, f"{self.elapsed_s - row.changed_s:.0f} s")
        return table
