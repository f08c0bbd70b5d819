"""The agent with its effects intercepted: runs in place of `-m firstboot`, and dies at the point asked for.

Started as `python runner.py RECORD GATE ORDER -- AGENT-ARGUMENTS`. Each call is written to the descriptor RECORD as
a line of JSON: that file outlives the node. GATE is a pipe at which an agent waits that the harness is to kill.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

import libvirt

import firstboot.__main__
import firstboot.run
from tests.netns.crash.points import (
    Numbering,
    Order,
    Point,
    command_line,
    is_look,
    normal,
    target_of,
)

SYSTEMD = "systemctl"
"""What it was asked for goes on when its caller dies; other commands are killed with the agent (KillMode=mixed)."""
LOOKS = tuple("list lookup num get is name UUID XMLDesc info autostart bridgeName close _".split())
"""How the methods of libvirt begin that change nothing, or open nothing but a connection."""
PERSISTENT = ("/etc/", "/var/lib/", "/root/")
LINGER_S = 3.0
"""Longer than members take to ask each other again."""


class Interceptor:
    """Numbers what the agent does, records it, and kills when it is time."""

    def __init__(self, record: int, gate: int, order: Order) -> None:
        self._record = record
        self._gate = gate
        self._order = order
        self._numbering = Numbering()
        self._running: set[subprocess.Popen[str]] = set()
        self._own = threading.local()
        self._began = time.monotonic()
        self._dying = threading.Lock()
        self._over = False
        self._lagged = False

    def note(self, **fields: object) -> None:
        fields["at_s"] = round(time.monotonic() - self._began, 3)
        fields["thread"] = threading.current_thread().name
        os.write(self._record, json.dumps(fields).encode() + b"\n")

    def reach(self, point: Point, *, took_s: float | None = None, lost: Callable[[], None] | None = None) -> None:
        """A point is there; `lost` takes away what a power cut could take."""
        self.note(point=asdict(point), **({} if took_s is None else {"took_s": round(took_s, 3)}))
        if point == self._order.point:
            if lost is not None and self._order.with_node:
                # What is not durable yet must not be known to anybody: the other threads get time to tell.
                time.sleep(LINGER_S)
            self.die(lost=lost)

    def die(self, *, lost: Callable[[], None] | None = None, late: bool = False) -> None:
        """Be killed, as by a bug or as with the whole node, in which case the harness pulls the plug."""
        with self._dying:
            if self._over:  # it was another's turn to die
                return
            self._over = True
            if self._order.with_node and lost is not None:
                lost()  # before the harness hears of it, and pulls the plug
            self.note(hit=asdict(self._order.point), late=late)  # type: ignore[arg-type]
            if self._order.with_node:
                # Only the harness can kill pid 1. PyDLL keeps the interpreter's lock: no thread goes on meanwhile.
                ctypes.PyDLL(None).read(self._gate, ctypes.create_string_buffer(1), 1)
                return
            for process in list(self._running):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    # Commands

    def spawn(self, real: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.Popen[str]]:
        def intercepted(args: tuple[str, ...], **options: Any) -> subprocess.Popen[str]:
            what = command_line(args)
            occurrence = self._numbering.next("command", what)
            self.note(call=1)
            if occurrence is None:
                return real(args, **options)
            before = Point("command", what, "before", occurrence)
            if before.changes_gluster and not self._lagged:
                self._lagged = True
                time.sleep(self._order.lag_s)
            self.reach(before)
            process = real(args, **options)
            if is_look(what):
                return process
            if args[0] != SYSTEMD:
                self._running.add(process)
            self._follow(process, what, occurrence)
            return process

        return intercepted

    def _follow(self, process: subprocess.Popen[str], what: str, occurrence: int) -> None:
        ended = self._begin("command", what, occurrence)
        communicate = process.communicate

        def intercepted(*args: Any, **options: Any) -> tuple[str, str]:
            answer = communicate(*args, **options)
            self._running.discard(process)
            ended()
            return answer

        process.communicate = intercepted  # type: ignore[method-assign]

    def _begin(self, kind: str, what: str, occurrence: int) -> Callable[[], None]:
        """A call goes on; the function returned is to be called when it has ended."""
        end, point = Point(kind, what, "after", occurrence), self._order.point
        asked = point is not None and point.is_within and point.end == end
        began = time.monotonic()
        if asked:
            timer = threading.Timer(self._order.delay_s, self.die)
            timer.daemon = True
            timer.start()

        def ended() -> None:
            took_s = time.monotonic() - began
            if asked:  # it was faster this time
                self.die(late=True)
            self.reach(end, took_s=took_s)

        return ended

    # Files

    def fsync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def intercepted(handle: int) -> None:
            path = str(Path(f"/proc/self/fd/{handle}").readlink())
            self.note(call=1)
            if Path(path).is_dir():
                self._sync_folder(real, handle, path)
                return
            target = target_of(path)
            occurrence = self._numbering.next("write", target)
            self._own.write = (target, occurrence)
            self._own.synced = path
            self._reach_write("unsynced", lost=lambda: os.truncate(path, 0))
            real(handle)
            self.note(synced=target)

        return intercepted

    def _sync_folder(self, real: Callable[[int], None], handle: int, path: str) -> None:
        renamed, self._own.renamed = getattr(self._own, "renamed", None), None
        if renamed is not None and str(Path(renamed).parent) == path:
            real(handle)
            self._reach_write("durable")
            return
        what = normal(path)
        occurrence = self._numbering.next("sync", what)
        if occurrence is not None:
            self.reach(Point("sync", what, "before", occurrence))
        real(handle)
        if occurrence is not None:
            self.reach(Point("sync", what, "after", occurrence))

    def replace(self, real: Callable[..., None]) -> Callable[..., None]:
        def intercepted(source: Any, target: Any) -> None:
            self.note(call=1)
            if getattr(self._own, "renamed", None) is not None:
                self.note(finding=f"the folder of {self._own.renamed} was not fsynced")
            if getattr(self._own, "synced", None) != os.fspath(source):
                self.note(finding=f"{target} was renamed to, and not fsynced before")
                real(source, target)
                return
            self._reach_write("unnamed")
            before = Path(target).read_bytes() if Path(target).exists() else None
            real(source, target)
            self._own.renamed = os.fspath(target)
            self._reach_write("renamed", lost=lambda: undo(real, source, target, before))

        return intercepted

    def _reach_write(self, phase: str, *, lost: Callable[[], None] | None = None) -> None:
        target, occurrence = self._own.write
        if occurrence is not None:
            self.reach(Point("write", target, phase, occurrence), lost=lost)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Note every file that is opened for writing where it would survive."""
        if event != "open" or not isinstance(args[0], str) or not args[0].startswith(PERSISTENT):
            return
        if isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR):
            self.note(opened=target_of(args[0]))

    # libvirt

    def call(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def intercepted(subject: Any, *args: Any, **options: Any) -> Any:
            occurrence = self._numbering.next("libvirt", name)
            self.note(call=1)
            assert occurrence is not None
            self.reach(Point("libvirt", name, "before", occurrence))
            ended = self._begin("libvirt", name, occurrence)
            answer = real(subject, *args, **options)
            ended()
            return answer

        return intercepted


def undo(rename: Callable[..., None], source: Any, target: Any, before: bytes | None) -> None:
    """Lose a rename that was not fsynced."""
    rename(target, source)
    if before is not None:
        Path(target).write_bytes(before)


def intercept(interceptor: Interceptor) -> None:
    """Put the interceptor between the agent and the world."""
    firstboot.run._spawn = interceptor.spawn(firstboot.run._spawn)
    os.fsync = interceptor.fsync(os.fsync)
    os.replace = interceptor.replace(os.replace)
    sys.addaudithook(interceptor.audit)
    for kind in (libvirt.virConnect, libvirt.virStoragePool, libvirt.virNetwork):
        for name, method in list(vars(kind).items()):
            if callable(method) and not name.startswith(LOOKS):
                setattr(kind, name, interceptor.call(f"{kind.__name__}.{name}", method))


def main(record: str, gate: str, order: str, separator: str, *arguments: str) -> None:
    assert separator == "--"
    intercept(Interceptor(int(record), int(gate), Order.load(order)))
    sys.argv = ["trivet-node", *arguments]
    firstboot.__main__.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
