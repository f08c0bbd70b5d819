"""Nodes for the doctor's tests: how far the agent came, whom it knows."""

from __future__ import annotations

from datetime import UTC, datetime

from firstboot.doctor.node import Node
from firstboot.plan import Plan
from firstboot.sequence import TITLES
from firstboot.state import JournalDocument, KnownMember
from firstboot.status import NodeStatus, PeerStatus, PhaseState, PhaseStatus
from tests.unit.firstboot.gluster.formed import context
from tests.unit.firstboot.gluster.formed import plan as both_plan

SINCE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def node(
    phase: str, *, plan: Plan | None = None, ever: str | None = None, peers: tuple[PeerStatus, ...] = ()
) -> Node:
    """Slot 1 of three, whose agent is in that phase (or `formed`), and once came to the end of phase `ever`."""
    names = list(TITLES)
    at = len(names) if phase == "formed" else names.index(phase)
    states = [PhaseState.DONE] * at + [PhaseState.RUNNING] + [PhaseState.PENDING] * len(names)
    done = names[: max(at, names.index(ever) + 1 if ever else 0)]
    known = {n: KnownMember(node_id=f"{n:032x}", address=f"192.0.2.{n}") for n in (1, 2, 3)}
    return Node(
        seed=context(1, of=plan or both_plan()).seed,
        journal=JournalDocument(phases=dict.fromkeys(done, SINCE), members=known if "admit" in done else {}),
        status=NodeStatus(
            phase=phase,
            state=PhaseState.WAITING,
            reason="testing",
            since=SINCE,
            phases=tuple(PhaseStatus(name=n, state=s) for n, s in zip(names, states, strict=False)),
            peers=peers,
        ),
        agent_pid=77,
    )
