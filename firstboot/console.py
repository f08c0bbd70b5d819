"""What a person in front of the machine sees: console lines, the login screen (issue), motd."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from firstboot import paths
from firstboot.errors import TrivetError
from firstboot.files import write_atomic
from firstboot.run import run
from firstboot.status import NodeStatus

log = logging.getLogger(__name__)


def line(status: NodeStatus) -> str:
    """The line that is written on every change; the lab reads it from serial consoles."""
    reason = " ".join(status.reason.split())
    return f"trivet: {status.name or 'unclaimed'} phase={status.phase} state={status.state.value} {reason}".rstrip()


def text(status: NodeStatus) -> str:
    """The few lines above the login prompt and in motd."""
    who = (
        f"{status.name}, slot {status.slot} of site {status.site_name}" if status.name else "a machine without a slot"
    )
    lines = [f"Trivet: {who}", f"  {status.phase} ({status.state.value}): {status.reason}"]
    if status.hint:
        lines.append(f"  next: {status.hint}")
    if status.addresses:
        lines.append(f"  addresses: {' '.join(status.addresses)}")
    lines += [f"  problem: {problem}" for problem in status.problems]
    return "\n".join(lines) + "\n"


def say(message: str) -> None:
    """Print a line to the journal (standard output) and every console; a console that blocks is passed over."""
    print(message, flush=True)
    for device in consoles():
        with suppress(OSError):
            handle = os.open(device, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                os.write(handle, f"{message}\r\n".encode())
            finally:
                os.close(handle)


def consoles(active: Path = Path("/sys/class/tty/console/active")) -> list[Path]:
    """The devices of the kernel's consoles, such as tty1 and ttyS0; /dev/console alone is only the last of them."""
    try:
        names = active.read_text(encoding="ascii").split()
    except (OSError, UnicodeError):
        names = []
    return [Path("/dev") / name for name in names] or [paths.CONSOLE]


def show(status: NodeStatus) -> None:
    """Write the login screen's text and motd, and let waiting login prompts draw themselves again."""
    content = text(status)
    for path in (paths.MOTD, paths.ISSUE):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content.replace("\\", "\\\\") if path == paths.ISSUE else content)
    try:
        run(["agetty", "--reload"], timeout_s=30, check=False)
    except TrivetError as error:
        log.debug("login prompts were not redrawn: %s", error.message)
