"""Starts glusterd with a mended store, and tells its own reason when it does not start."""

from __future__ import annotations

import re
from collections.abc import Collection
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


class Lasting:
    """Troubles that only another start of glusterd ends: which have lasted for too long.

    `limit_s` of each; it doubles with every start that did not help.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: dict[str, tuple[float, float]] = {}

    def is_due(self, trouble: str, now_s: float) -> bool:
        """Whether this one, which is there now, is to be ended by a start."""
        since_s, limit_s = self._since.setdefault(trouble, (now_s, self._limit_s))
        if now_s - since_s < limit_s:
            return False
        self._since[trouble] = now_s, 2 * limit_s
        return True

    def over(self, trouble: str) -> None:
        """It is not there any more."""
        self._since.pop(trouble, None)

    def only(self, troubles: Collection[str]) -> None:
        """Of all troubles at most these are there still."""
        for trouble in self._since.keys() - set(troubles):
            self.over(trouble)

    def due(self, troubles: Collection[str], now_s: float) -> list[str]:
        """The same of all that there are now; every other is over."""
        self.only(troubles)
        return [trouble for trouble in sorted(troubles) if self.is_due(trouble, now_s)]


def start() -> None:
    """Start glusterd, unless it runs; raises TrivetError with what its log says when it can't."""
    # Not active is not yet down: the store of a glusterd that is just starting or stopping is its own.
    if services.is_active(UNIT) or services.settled_state(UNIT) == "active":
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
