"""The node's clock: the floor below which it can't be right, and the one place that sets it."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

from firstboot import paths
from firstboot.run import run

log = logging.getLogger(__name__)


def build_stamp(path: Path = paths.BUILD_STAMP) -> dict[str, object]:
    """What the image build wrote of itself; empty where there is no image."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def floor(stamp: dict[str, object]) -> float | None:
    """When the image was built, in epoch seconds; none where there is no image. Pure."""
    epoch = stamp.get("epoch")
    return float(epoch) if isinstance(epoch, int | float) and not isinstance(epoch, bool) else None


def behind(now_s: float, stamp: dict[str, object]) -> float | None:
    """The time to set, in epoch seconds, when the clock is before the build. Pure."""
    lowest = floor(stamp)
    return lowest if lowest is not None and now_s < lowest else None


def raise_to_floor() -> bool:
    """Set a clock that is before the build time to that; whether it was."""
    lowest = behind(time.time(), build_stamp())
    if lowest is None:
        return False
    log.warning("the clock was before the image's build time, and is set to that")
    _set_to(lowest)
    return True


def move(by_s: float) -> None:
    """Set the clock forward, or back by a negative number, but never below the floor; raises CommandError."""
    _set_to(max(time.time() + by_s, floor(build_stamp()) or 0.0))


def _set_to(epoch_s: float) -> None:
    # A command, so that nodes which share one clock can be given another program of that name.
    run(["date", "--utc", f"--set=@{epoch_s:.3f}"], timeout_s=60)
