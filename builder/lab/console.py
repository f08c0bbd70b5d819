"""`lab console`: the terminal joined to a node's serial console until Ctrl-]."""

from __future__ import annotations

import os
import select
import socket
import sys
import termios
import tty
from pathlib import Path

from firstboot.errors import MissingError

ESCAPE = b"\x1d"
"""Ctrl-], as in virsh and telnet."""


def open_console(path: Path) -> socket.socket:
    """The console's socket, for one reader at a time; raises MissingError when the machine is off."""
    console = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        console.connect(str(path))
    except OSError as error:
        console.close()
        raise MissingError(
            f"console {path} does not answer: {error.strerror}", hint="is the node on? trivet lab status"
        ) from error
    return console


def join(path: Path, number: int) -> None:
    """Hand bytes through between the terminal and the console until Ctrl-] or its end."""
    with open_console(path) as console:
        sys.stderr.write(f"console of node {number}; leave with Ctrl-]\n")
        keyboard = sys.stdin.fileno()
        if not os.isatty(keyboard):
            _pump(console, keyboard)
            return
        before = termios.tcgetattr(keyboard)
        try:
            tty.setraw(keyboard)
            console.sendall(b"\r")  # so that a login prompt shows itself
            _pump(console, keyboard)
        finally:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
            sys.stderr.write("\n")


def _pump(console: socket.socket, keyboard: int) -> None:
    sources: list[socket.socket | int] = [console, keyboard]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if console in ready:
            data = console.recv(4096)
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        if keyboard in ready:
            data = os.read(keyboard, 1024)
            if not data:
                sources.remove(keyboard)
                continue
            before, escape, _ = data.partition(ESCAPE)
            console.sendall(before)
            if escape:
                return
