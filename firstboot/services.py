"""Services of the node, through systemctl: the only place that starts or stops a unit."""

from __future__ import annotations

from firstboot.run import run

QUERY_TIMEOUT_S = 60
CHANGE_TIMEOUT_S = 600
"""Generous: under software emulation a daemon's start takes minutes."""


def is_active(unit: str) -> bool:
    """Whether the unit runs now."""
    return run(["systemctl", "is-active", "--quiet", unit], timeout_s=QUERY_TIMEOUT_S, check=False).ok


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
