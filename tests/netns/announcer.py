"""Run in a network namespace of its own: a node announces itself, and the workstation prints what it heard."""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import asdict
from ipaddress import ip_network

from builder.site.discovery import browse
from firstboot.cluster.announcement import Announcement
from firstboot.cluster.discovery import Discovery
from firstboot.cluster.hints import Hints
from firstboot.run import run

SITE = "0123456789abcdef0123456789abcdef"
PATIENCE_S = 120.0
SAID = Announcement(SITE, 2, "a" * 32, "disks", 7463, "no disk matches \x1b[31m")


def link_up() -> None:
    """A pair of interfaces that see each other, with one address each."""
    for argv in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", "node", "type", "veth", "peer", "name", "desk"],
        ["ip", "address", "add", "192.0.2.11/24", "dev", "node"],
        ["ip", "link", "set", "node", "up"],
        ["ip", "link", "set", "desk", "up"],
    ):
        run(argv, timeout_s=60)


def main() -> None:
    link_up()
    discovery = Discovery(
        Hints(frozenset({2}), time.monotonic, random.Random()),
        slots=3,
        describe=lambda: SAID,
        complete=lambda: True,
        found=lambda _: None,
    )
    discovery.follow(["192.0.2.11"], [ip_network("192.0.2.0/24")])
    try:
        hints = browse(SITE, frozenset({2}), timeout_s=PATIENCE_S)
    finally:
        discovery.close()
    json.dump([asdict(hint) for hint in hints], sys.stdout)


if __name__ == "__main__":
    main()
