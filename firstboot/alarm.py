"""Pauses that an event can end early."""

from __future__ import annotations

import threading


class Alarm:
    """For one thread that pauses until `stop` is set; any other may wake it before."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._ring = threading.Event()

    def wake(self) -> None:
        """End the pause, or the next one, if there is none now. May be called in a signal handler."""
        self._ring.set()

    def pause(self, seconds: float) -> bool:
        """Sleep that long, unless something happens before; whether to stop."""
        if not self._stop.is_set() and self._ring.wait(seconds):
            self._ring.clear()
        return self._stop.is_set()
