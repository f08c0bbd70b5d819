"""Processes that outlive a command and are found again by their pid file."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from firstboot.errors import TrivetError


def running_pid(pid_file: Path, program: str, mark: Path) -> int | None:
    """The process in a pid file, if it lives, runs `program` and was started with `mark` in its arguments.

    After a restart of the machine the number may be another's.
    """
    try:
        pid = int(pid_file.read_text().strip())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return None
    if Path(words[0].decode(errors="replace")).name != program:
        return None
    return pid if any(str(mark).encode() in word for word in words[1:]) else None


def end_process(pid: int, *, limit_s: float = 20.0) -> None:
    """Ask a process to end, kill it after `limit_s`, and wait until it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if not _alive(pid):
                return
            time.sleep(0.05)
    raise TrivetError(f"process {pid} does not end", hint=f"look at it: ps -fp {pid}")


def _alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")
