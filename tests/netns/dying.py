"""An agent that dies at named moments, one after the other; which it died at already is in a file.

Started as `python dying.py MOMENT,MOMENT… AGENT-ARGUMENTS` in place of `-m firstboot`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import firstboot.__main__
from firstboot.gluster import client, heir
from firstboot.paths import GLUSTERD_INFO, brick_path

DEATHS = Path("/var/lib/deaths")
"""Lines: the moments at which it died."""


def die(moment: str, wanted: list[str]) -> None:
    known = DEATHS.read_text().splitlines() if DEATHS.exists() else []
    if moment not in wanted or moment in known:
        return
    with DEATHS.open("a") as file:
        file.write(f"{moment}\n")
        file.flush()
        os.fsync(file.fileno())
    os.kill(os.getpid(), signal.SIGKILL)


def around(module: Any, name: str, before: Callable[..., None], after: Callable[..., None]) -> None:
    """Call two more functions before and after one, with its arguments."""
    function = getattr(module, name)

    def call(*words: Any, **named: Any) -> Any:
        before(*words)
        found = function(*words, **named)
        after(*words)
        return found

    setattr(module, name, call)


def nothing(*_: Any) -> None:
    pass


def main(moments: str, *arguments: str) -> None:
    wanted = moments.split(",")

    def info_is_next(path: Path, *_: Any) -> None:
        if path == GLUSTERD_INFO:
            die("peers written", wanted)

    def begun(volume: str, brick: str) -> None:
        """As glusterd that is cut off between the two parts of a reset: the volume's id is there, and no marks."""
        die("marked", wanted)
        known = DEATHS.read_text() if DEATHS.exists() else ""
        if "begun" in wanted and "begun" not in known:
            info = next(info for info in client.volumes() if info.name == volume)
            os.setxattr(brick_path(volume, 0), "trusted.glusterfs.volume-id", bytes.fromhex(info.id.replace("-", "")))
            client.start_anew(volume)
            die("begun", wanted)

    around(heir, "write_atomic", info_is_next, nothing)
    around(heir, "_take", nothing, lambda *_: die("place taken", wanted))
    around(client, "reset_brick", begun, lambda *_: die("reset", wanted))
    sys.argv = ["trivet-node", *arguments]
    firstboot.__main__.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
