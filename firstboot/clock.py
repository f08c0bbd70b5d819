"""The floor of the node's clock: never before the image was built, whatever a dead battery says."""

from __future__ import annotations

import json
import time
from pathlib import Path

from firstboot import paths


def build_stamp(path: Path = paths.BUILD_STAMP) -> dict[str, object]:
    """What the image build wrote of itself; empty where there is no image."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def behind(now_s: float, stamp: dict[str, object]) -> float | None:
    """The time to set, in epoch seconds, when the clock is before the build; pure."""
    floor = stamp.get("epoch")
    if isinstance(floor, bool) or not isinstance(floor, int | float):
        return None
    return float(floor) if now_s < floor else None


def raise_to_floor() -> bool:
    """Set a clock that is before the build time to that; whether it was."""
    floor = behind(time.time(), build_stamp())
    if floor is not None:
        time.clock_settime(time.CLOCK_REALTIME, floor)
    return floor is not None
