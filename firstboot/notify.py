"""Tells systemd that the agent is up, alive and what it does: sd_notify(3) in a few lines."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress


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


def keep_alive(stop: threading.Event) -> None:
    """Feed the service manager's watchdog, where it asks for that, until `stop`; the main thread must live."""
    interval_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 / 2
    if interval_s <= 0:
        return
    main = threading.main_thread()

    def feed() -> None:
        while main.is_alive() and not stop.wait(interval_s):
            notify("WATCHDOG=1")

    threading.Thread(target=feed, name="watchdog", daemon=True).start()
