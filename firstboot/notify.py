"""Tells systemd that the agent is up, gets on, and what it does: sd_notify(3) in a few lines."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress

from firstboot.heart import Heart

log = logging.getLogger(__name__)

FEEDS = 4
"""How often the watchdog is fed within its time; sd_watchdog_enabled(3) advises at least twice."""


def notify(*assignments: str) -> None:
    """Send lines such as READY=1 to the service manager; without one nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as gate:
        gate.connect(address)
        gate.sendall("\n".join(assignments).encode())


def keep_alive(heart: Heart, stop: threading.Event) -> None:
    """Feed the service manager's watchdog, where it asks for that, until `stop`; only while the heart beats."""
    interval_s = feed_interval_s(os.environ, os.getpid())
    if interval_s is None:
        return

    def feed() -> None:
        while not stop.wait(interval_s):
            if heart.is_beating:
                notify("WATCHDOG=1")
            else:
                log.error("the agent's loop is stuck, overdue since %.0f s: systemd restarts it", heart.overdue_s)

    threading.Thread(target=feed, name="watchdog", daemon=True).start()


def feed_interval_s(env: Mapping[str, str], pid: int) -> float | None:
    """How often to feed, by sd_watchdog_enabled(3)'s variables; None when no watchdog watches this process. Pure."""
    usec, watched = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", str(pid))
    if not usec.isdecimal() or int(usec) == 0 or watched != str(pid):
        return None
    return int(usec) / 1e6 / FEEDS
