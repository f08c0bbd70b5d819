"""Gluster: are the peers connected, the planned volumes started, their bricks online?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned
from firstboot.gluster import facts
from firstboot.plan import VolumePlan
from firstboot.services import is_active
from firstboot.status import PeerStatus, VolumeStatus

HEAL_HINT = "Gluster heals by itself what was missed: gluster volume heal {} info"


def check(node: Node) -> Iterator[Judgement]:
    """Ask the local glusterd, from the phase pool on."""
    if not (node.entered("pool") or node.ever_finished("pool")):
        yield skipped("phase pool has not begun yet")
        return
    if not is_active("glusterd"):
        yield judge_absence(pooled=node.finished("pool"))
        return
    context = node.context()
    yield judge_peers(facts.peers(context), pooled=node.ever_finished("pool"))
    found = {volume.name: volume for volume in facts.volumes(context)}
    for plan in node.claimed_seed.plan.volumes:
        yield judge_volume(plan, found.get(plan.name), made=node.ever_finished("volumes"))


def judge_absence(*, pooled: bool) -> Judgement:
    """No glusterd: the agent starts it in the phase pool, on a formed node too, each time that the machine starts."""
    if pooled:
        return failed("glusterd does not run here", "why it ended: journalctl -u glusterd")
    return warned("glusterd does not run yet", "the agent starts it in phase pool: trivet-node status")


def judge_peers(peers: Sequence[PeerStatus], *, pooled: bool) -> Judgement:
    """Everybody, as the local glusterd sees them; gaps are normal only while the pool is being formed."""
    away = [f"{peer.name} ({peer.address})" for peer in peers if not peer.connected]
    if not peers:
        return passed("this site has one node", about="peers")
    if not away:
        return passed(f"{len(peers)} of {len(peers)} connected", about="peers")
    evidence = f"{len(peers) - len(away)} of {len(peers)} connected; not: {', '.join(away)}"
    if not pooled:
        return warned(evidence, "the founder takes in one after the other: trivet-node status there", about="peers")
    return failed(evidence, "are they on, and does glusterd run there? trivet-node doctor there", about="peers")


def judge_volume(plan: VolumePlan, volume: VolumeStatus | None, *, made: bool) -> Judgement:
    """A planned volume; one that is not there yet fails only if it ever was."""
    about = f"volume {plan.name}"
    if volume is None:
        if not made:
            return warned("not created yet", "the founder creates it: trivet-node status there", about=about)
        return failed("it is gone", "who deleted it? /var/log/glusterfs/cmd_history.log on every node", about=about)
    if volume.status != "Started":
        hint = f"gluster volume start {plan.name}" if made else "the founder starts it: trivet-node status there"
        return (failed if made else warned)(f"it is {volume.status.lower()}", hint, about=about)
    down = [f"{brick.node}:{brick.path}" for brick in volume.bricks if not brick.online]
    online = f"{volume.type}, started, {len(volume.bricks) - len(down)} of {len(volume.bricks)} bricks online"
    if down:
        return failed(
            f"{online}; not: {', '.join(down)}",
            f"trivet-node doctor on that node. When it is back: {HEAL_HINT.format(plan.name)}",
            about=about,
        )
    return passed(online, about=about)
