"""Does this machine know the time?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from firstboot import chrony, clock
from firstboot.chrony import Tracking
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned

MAX_OFFSET_S = 1.0
"""chrony slews less than five seconds (makestep in the image's chrony.conf), which lasts a while."""


def check(node: Node) -> Iterator[Judgement]:
    """The floor, and chrony."""
    yield judge_floor(time.time(), clock.build_stamp())
    if node.seed is None:
        yield judge_tracking(chrony.tracking(), (), {})
        return
    members = {member.address: member.name for member in node.members.values()}
    yield judge_tracking(chrony.tracking(), node.seed.plan.network.ntp, members)


def judge_floor(now_s: float, stamp: dict[str, object]) -> Judgement:
    """The clock against the image's build time, before which it can't be."""
    epoch = clock.floor(stamp)
    if epoch is None:
        return skipped("this is no image, which would say when it was built", about="floor")
    built, now = (f"{datetime.fromtimestamp(s, UTC):%Y-%m-%d %H:%M} UTC" for s in (epoch, now_s))
    if clock.behind(now_s, stamp) is not None:
        hint = "restart the agent, which sets it: systemctl restart trivet-firstboot; replace the clock's battery"
        return failed(f"it is {now} here, before the image was built: {built}", hint, about="floor")
    return passed(f"it is {now} here, the image was built {built}", about="floor")


def judge_tracking(tracking: Tracking, servers: tuple[str, ...], members: Mapping[str, str]) -> Judgement:
    """Whether the clock follows a source; a cluster also forms without, so that it warns at most.

    `members` are the members' names by address.
    """
    named = f"the plan names {', '.join(servers)}" if servers else "the plan names no time server"
    if not tracking.synchronised:
        return warned(
            f"the clock follows no time server; {named}",
            "chronyc sources -v shows why; name one that can be reached in the profile (network.ntp)",
            about="chrony",
        )
    if tracking.is_local:
        state = "the members follow this node's own clock"
    else:
        source = f"{members[tracking.source]}, a member" if tracking.source in members else tracking.source
        state = f"follows {source} (stratum {tracking.stratum}), off by {tracking.offset_s:.6f} s"
    if tracking.offset_s > MAX_OFFSET_S:
        return warned(state, "step it now instead of waiting: chronyc makestep", about="chrony")
    if servers and not chrony.follows_server(tracking, frozenset(members)):
        return warned(
            f"{state}; {named}, and none of them is followed", "chronyc sources -v shows why", about="chrony"
        )
    return passed(state, about="chrony")
