"""The workstation hears the nodes' own announcements, in a namespace with nothing else in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from firstboot.run import run

ROOT = Path(__file__).parents[2]


def test_a_node_is_heard_with_its_slot_address_and_reason() -> None:
    argv = ["unshare", "--net", sys.executable, "-m", "tests.netns.announcer"]
    done = run(argv, timeout_s=300, cwd=ROOT)
    said = {"phase": "disks", "why": "no disk matches ?[31m"}
    assert json.loads(done.stdout) == [{"slot": 2, "addresses": ["192.0.2.11"], **said}]
