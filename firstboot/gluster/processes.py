"""Gluster's processes besides glusterd: bricks and self-heal daemons, which outlive it and are ended on purpose.

Run as a program it ends this node's; trivet-bricks.service does so when the machine shuts down.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from firstboot import services

log = logging.getLogger(__name__)

UNIT = "glusterd"
RUN = Path("/run/gluster")
"""glusterd keeps a pid file of each process that it starts below it."""
PROC = Path("/proc")
END_LIMIT_S = 60.0
"""A brick that is told to end closes its files; on an emulated machine that takes seconds."""


def end_all() -> None:
    """End all of Gluster on this node: glusterd, then its bricks and self-heal daemons."""
    services.stop(UNIT)
    end()


def end(run: Path = RUN, *, limit_s: float = END_LIMIT_S) -> None:
    """End what a glusterd started here, mounts apart; what is still there after the limit is killed."""
    ending = dict(_running(run))
    for pid, handle in ending.items():
        log.info("ending Gluster's process %d", pid)
        _tell(handle, signal.SIGTERM)
    deadline = time.monotonic() + limit_s
    for pid, handle in ending.items():
        if not _has_ended(handle, deadline - time.monotonic()):
            log.warning("Gluster's process %d does not end: it is killed", pid)
            _tell(handle, signal.SIGKILL)
            _has_ended(handle, limit_s)
        os.close(handle)


def _running(run: Path) -> Iterator[tuple[int, int]]:
    """By pid, a handle of each process that has one of these pid files: a number alone may be another's by now."""
    for path in sorted(run.rglob("*.pid")):
        text = path.read_text(errors="replace").strip()
        if not text.isdecimal():
            continue
        try:
            handle = os.pidfd_open(int(text))
        except (OSError, OverflowError):
            continue
        if _is_meant(int(text), path):
            yield int(text), handle
        else:
            os.close(handle)


def _is_meant(pid: int, pid_file: Path) -> bool:
    """Whether the process was started with that pid file; glusterd may name it through /var/run."""
    with suppress(OSError):
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        return any(word.endswith(bytes(pid_file)) for word in words)
    return False


def _tell(handle: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)


def _has_ended(handle: int, limit_s: float) -> bool:
    return bool(select.select([handle], [], [], max(limit_s, 0))[0])


if __name__ == "__main__":
    end()
