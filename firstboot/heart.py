"""Whether the agent's loop gets on: it promises when it will be heard of next, and a watchdog looks at that."""

from __future__ import annotations

from collections.abc import Callable

WORK_S = 300.0
"""The longest that the loop may do anything other than a command or a pause (an import, a TLS handshake, a call of
libvirt): half a minute at worst on a quiet machine that is emulated, and that may be one of many on its host."""


class Heart:
    """The promise of one loop; `clock` is monotonic, in seconds. Beaten by the loop, read by any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due_s = clock() + WORK_S

    def beat(self, within_s: float = 0.0) -> None:
        """The loop gets on, and beats again at the latest `WORK_S` after it waited for `within_s`."""
        self._due_s = self._clock() + within_s + WORK_S

    @property
    def overdue_s(self) -> float:
        """How long ago the next beat was due; negative or zero while the loop gets on."""
        return self._clock() - self._due_s

    @property
    def is_beating(self) -> bool:
        return self.overdue_s <= 0
