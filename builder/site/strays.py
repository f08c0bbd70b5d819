"""Tells the node of a slot from other machines that prove the same slot: removed ones, second claimants; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from builder.site.nodes import NodeReport
from firstboot.cluster.founder import short


def strays(reports: Sequence[NodeReport], issued: Sequence[str]) -> dict[str, str]:
    """Why a machine that answers is not its slot's node, by node id. `issued`: the site's seeds, oldest first.

    A certificate proves a seed of the slot, not that its node is a member, and one machine may say what it likes: it
    takes more than half of the others to say that a node was removed, or who holds a slot. Where they don't say who
    does, it is the seed that was issued last.
    """
    known = list({report.node_id: report for report in reports if report.node_id is not None}.values())
    found = {
        report.node_id or "": "it was removed from the cluster" for report in known if _is_removed(report, known)
    }
    left = [report for report in known if report.node_id not in found]
    for slot in {report.slot for report in left}:
        claimants = [report for report in left if report.slot == slot]
        holder = _holder(claimants, left) or max(claimants, key=lambda report: _age(report, issued)).node_id
        for report in claimants:
            if report.node_id != holder:
                found[report.node_id or ""] = f"node {short(holder or '')} holds slot {slot}"
    return found


def _is_removed(report: NodeReport, known: Sequence[NodeReport]) -> bool:
    if report.status is not None and report.node_id in report.status.removed_nodes:
        return True
    others = [other.status for other in known if other.node_id != report.node_id and other.status is not None]
    said = [report.node_id in status.removed_nodes for status in others if status.epoch is not None]
    return 2 * sum(said) > len(said)


def _holder(claimants: Sequence[NodeReport], left: Collection[NodeReport]) -> str | None:
    """Whom more than half of the other slots' nodes name as the holder of the claimants' slot; None: nobody."""
    slot = claimants[0].slot
    others = [report.status for report in left if report.slot != slot and report.status is not None]
    named = Counter(peer.node_id for status in others for peer in status.peers if peer.slot == slot and peer.node_id)
    ((first, count),) = named.most_common(1) or ((None, 0),)
    return first if 2 * count > len(others) else None


def _age(report: NodeReport, issued: Sequence[str]) -> int:
    return issued.index(report.seed_id) if report.seed_id in issued else -1
