"""Does this machine know the time?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from firstboot import clock
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned
from firstboot.errors import TrivetError
from firstboot.run import run

MAX_OFFSET_S = 1.0
"""chrony steps more than that only at its first three updates (Debian's chrony.conf: makestep 1 3), then it slews."""
TRACKING_FIELDS = 14
ASK_LIMIT_S = 30


@dataclass(frozen=True)
class Tracking:
    """What chrony says of its source and of the system's clock; the offset is in seconds, without its sign."""

    source: str
    stratum: int
    offset_s: float
    leap: str

    @property
    def synchronised(self) -> bool:
        return self.leap != "Not synchronised"


def check(node: Node) -> Iterator[Judgement]:
    """The floor, and chrony."""
    yield judge_floor(time.time(), clock.build_stamp())
    servers = node.seed.plan.network.ntp if node.seed is not None else ()
    yield judge_tracking(read_tracking(), servers)


def judge_floor(now_s: float, stamp: dict[str, object]) -> Judgement:
    """The clock against the image's build time, before which it can't be."""
    epoch = stamp.get("epoch")
    if isinstance(epoch, bool) or not isinstance(epoch, int | float):
        return skipped("this is no image, which would say when it was built", about="floor")
    built, now = (f"{datetime.fromtimestamp(s, UTC):%Y-%m-%d %H:%M} UTC" for s in (epoch, now_s))
    if clock.behind(now_s, stamp) is not None:
        hint = "restart the agent, which sets it: systemctl restart trivet-firstboot; replace the clock's battery"
        return failed(f"it is {now} here, before the image was built: {built}", hint, about="floor")
    return passed(f"it is {now} here, the image was built {built}", about="floor")


def read_tracking() -> Tracking:
    """Ask chronyd; raises TrivetError when it does not answer."""
    done = run(
        ["chronyc", "-c", "tracking"],
        timeout_s=ASK_LIMIT_S,
        check=True,
        hint="does chrony run? systemctl status chrony",
    )
    return parse_tracking(done.stdout)


def parse_tracking(text: str) -> Tracking:
    """The one line of `chronyc -c tracking`: the fields of chronyc(1)'s report in its order, with commas."""
    fields = text.strip().split(",")
    try:
        if len(fields) != TRACKING_FIELDS:
            raise ValueError(f"{len(fields)} fields")
        return Tracking(fields[1] or fields[0], int(fields[2]), abs(float(fields[4])), fields[13])
    except ValueError as error:
        raise TrivetError(f"chronyc printed what this version can't read: {error}") from None


def judge_tracking(tracking: Tracking, servers: tuple[str, ...]) -> Judgement:
    """Whether the clock follows a source; a cluster also forms without, so that it warns at most."""
    named = f"the plan names {', '.join(servers)}" if servers else "the plan names no time server"
    if not tracking.synchronised:
        return warned(
            f"the clock follows no time server; {named}",
            "chronyc sources -v shows why; name one that can be reached in the profile (network.ntp)",
            about="chrony",
        )
    state = f"follows {tracking.source} (stratum {tracking.stratum}), off by {tracking.offset_s:.6f} s"
    if tracking.offset_s > MAX_OFFSET_S:
        return warned(state, "step it now instead of waiting: chronyc makestep", about="chrony")
    return passed(state, about="chrony")
