"""The one gate for commands: argv lists, never a shell, always a time limit, a typed result."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from firstboot.errors import MissingError, TrivetError

log = logging.getLogger(__name__)

TAIL_LINES = 15

_beat: ContextVar[Callable[[float], None]] = ContextVar("_beat", default=lambda _limit_s: None)


def beat_with(beat: Callable[[float], None]) -> None:
    """Call `beat` with the time limit of each command that this thread starts from now on, and no other thread."""
    _beat.set(beat)


@dataclass(frozen=True)
class Completed:
    """A finished command. `stdout` holds stderr's text too when the command was followed line by line."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    duration_s: float

    @property
    def ok(self) -> bool:
        return self.returncode == 0


class CommandError(TrivetError):
    """A command failed; the message holds a line that can be pasted into a shell."""

    def __init__(self, done: Completed, reason: str, *, hint: str = "") -> None:
        text = (done.stderr.strip() or done.stdout.strip()).splitlines()[-TAIL_LINES:]
        tail = "".join(f"\n    {line}" for line in text)
        super().__init__(f"command {reason}: {shlex.join(done.argv)}{tail}", hint=hint)
        self.done = done


def run(
    argv: Sequence[str | Path],
    *,
    timeout_s: float,
    check: bool = True,
    input_text: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    hint: str = "",
) -> Completed:
    """Run a command to its end and return its output.

    `env` is added to the environment, with LC_ALL=C under it. Raises CommandError on a non-zero exit (unless
    `check` is false) and always on the time limit, after the whole process group was killed; MissingError when
    the program is not there.
    """
    args = tuple(str(a) for a in argv)
    started = time.monotonic()
    _beat.get()(timeout_s)
    process = _spawn(args, env=env, cwd=cwd, stderr=subprocess.PIPE, stdin=input_text is not None)
    try:
        out, err = process.communicate(input_text, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        out, err = process.communicate()
        done = Completed(args, -signal.SIGKILL, out, err, time.monotonic() - started)
        raise CommandError(done, f"passed its time limit of {timeout_s:g} s", hint=hint) from None
    except BaseException:
        _kill_group(process)
        process.wait()
        raise
    done = Completed(args, process.returncode, out, err, time.monotonic() - started)
    log.debug("%s -> %d in %.2f s", shlex.join(args), done.returncode, done.duration_s)
    if check and not done.ok:
        raise CommandError(done, f"exited with {done.returncode}", hint=hint)
    return done


def follow(
    argv: Sequence[str | Path],
    *,
    timeout_s: float,
    log_file: Path,
    on_line: Callable[[str], None] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    hint: str = "",
) -> Completed:
    """Run a long command, appending its output to `log_file` and handing each line to `on_line` as it comes.

    Raises as `run` does; the error names the log file.
    """
    args = tuple(str(a) for a in argv)
    started = time.monotonic()
    _beat.get()(timeout_s)
    process = _spawn(args, env=env, cwd=cwd, stderr=subprocess.STDOUT, stdin=False)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _kill_group(process)

    timer = threading.Timer(timeout_s, expire)
    timer.daemon = True
    timer.start()
    tail: list[str] = []
    try:
        assert process.stdout is not None
        with log_file.open("a", encoding="utf-8", errors="replace") as sink:
            for line in process.stdout:
                sink.write(line)
                sink.flush()
                tail = [*tail[-TAIL_LINES:], line.rstrip("\n")]
                if on_line is not None:
                    on_line(line.rstrip("\n"))
        process.wait()
    except BaseException:
        _kill_group(process)
        process.wait()
        raise
    finally:
        timer.cancel()
    done = Completed(args, process.returncode, "\n".join(tail), "", time.monotonic() - started)
    if expired.is_set():
        raise CommandError(done, f"passed its time limit of {timeout_s:g} s", hint=f"the whole log is {log_file}")
    if not done.ok:
        raise CommandError(done, f"exited with {done.returncode}", hint=hint or f"the whole log is {log_file}")
    return done


def _spawn(
    args: tuple[str, ...],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stderr: int,
    stdin: bool,
) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            args,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise TrivetError(f"folder {cwd} is not there") from error
        raise MissingError(
            f"program {args[0]} is not installed", hint=f"install the Debian package that has {args[0]}"
        ) from error


def _kill_group(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
