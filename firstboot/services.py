"""Services of the node, through systemctl: the only place that starts or stops a unit."""

from __future__ import annotations

import time

from firstboot.errors import TrivetError
from firstboot.run import run

QUERY_TIMEOUT_S = 60
CHANGE_TIMEOUT_S = 600
"""Generous: under software emulation a daemon's start takes minutes."""
CHANGING = frozenset({"activating", "deactivating", "reloading", "refreshing", "maintenance"})
"""Words of systemd's ActiveState for a unit that is on its way to another state."""
CHANGE_PAUSE_S = 0.5


def is_active(unit: str) -> bool:
    """Whether the unit runs now."""
    return run(["systemctl", "is-active", "--quiet", unit], timeout_s=QUERY_TIMEOUT_S, check=False).ok


def settled_state(unit: str) -> str:
    """systemd's ActiveState of the unit, once no job changes it: "active", "inactive" or "failed".

    A job goes on when whoever asked for it dies, so that a unit that is not active need not be down. Raises
    TrivetError when it does not come to an end.
    """
    deadline = time.monotonic() + CHANGE_TIMEOUT_S
    while True:
        asked = ["systemctl", "show", "--property=ActiveState", "--value", unit]
        state = run(asked, timeout_s=QUERY_TIMEOUT_S).stdout.strip()
        if state not in CHANGING:
            return state
        if time.monotonic() > deadline:
            raise TrivetError(
                f"{unit} is {state} for {CHANGE_TIMEOUT_S} s already",
                hint=f"look at the unit's log: journalctl -u {unit}",
            )
        time.sleep(CHANGE_PAUSE_S)


def start(unit: str) -> None:
    """Start the unit and wait until systemd says it is up; an active unit is left alone."""
    if not is_active(unit):
        run(
            ["systemctl", "start", unit],
            timeout_s=CHANGE_TIMEOUT_S,
            hint=f"look at the unit's log: journalctl -u {unit}",
        )


def restart(unit: str) -> None:
    """Have the unit read its files anew; one that is not running is started."""
    run(
        ["systemctl", "restart", unit],
        timeout_s=CHANGE_TIMEOUT_S,
        hint=f"look at the unit's log: journalctl -u {unit}",
    )


def stop(unit: str) -> None:
    """Stop the unit and wait until it is down; one that does not run is left alone."""
    if is_active(unit):
        run(
            ["systemctl", "stop", unit],
            timeout_s=CHANGE_TIMEOUT_S,
            hint=f"look at the unit's log: journalctl -u {unit}",
        )
