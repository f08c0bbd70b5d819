"""Starts glusterd with a mended store, and tells its own reason when it does not start."""

from __future__ import annotations

import re
from pathlib import Path

from firstboot import services
from firstboot.errors import TrivetError
from firstboot.gluster import store
from firstboot.gluster.closing import UNIT
from firstboot.run import CommandError, run

LOG = Path("/var/log/glusterfs/glusterd.log")
TAIL_BYTES = 64 * 1024
REASONS = 4
ERROR_LINE = re.compile(r"\[[^]]*\] [EC] (?:\[MSGID: \d+\] )?\[(?P<file>[^:]+):[^]]*\] [^ ]*: (?P<said>.*?) *$")
FRAME = ("xlator.c", "graph.c", "glusterfsd.c", "glusterfsd-mgmt.c")
"""Where glusterfs says no more than that it gives up."""


WRITE_VOLFILES = ("glusterd", "--xlator-option", "*.upgrade=on", "-N")
"""What a package's upgrade runs: all volumes' files are written anew from their definitions."""


def start() -> None:
    """Start glusterd, unless it runs; raises TrivetError with what its log says when it can't."""
    if services.is_active(UNIT):
        return
    store.mend()
    if store.lacks_volfiles():
        # The exit code tells nothing: it ends itself by a signal once they are written.
        run(WRITE_VOLFILES, timeout_s=services.CHANGE_TIMEOUT_S, check=False)
    before = LOG.stat().st_size if LOG.exists() else 0
    try:
        services.start(UNIT)
    except CommandError as error:
        why = reasons(_said_since(before))
        if not why:
            raise
        raise TrivetError(
            f"glusterd does not start: {'; '.join(why)}",
            hint=f"its log is {LOG}; its store, /var/lib/glusterd, was changed by hand or lost on the disk",
        ) from error


def restart() -> None:
    """Stop glusterd, and start it with a mended store. Bricks and mounts go on meanwhile."""
    services.stop(UNIT)
    start()


def reasons(log: str) -> list[str]:
    """The last errors of a start that are more than that it failed. Pure."""
    found = [match for line in log.splitlines() if (match := ERROR_LINE.match(line))]
    said = [match["said"] for match in found if match["file"] not in FRAME and "ulimit" not in match["said"]]
    return list(dict.fromkeys(said))[-REASONS:]


def _said_since(size: int) -> str:
    with LOG.open("rb") as log:
        end = log.seek(0, 2)
        log.seek(max(size if size <= end else 0, end - TAIL_BYTES))
        return log.read().decode(errors="replace")
