"""The status of a lab, put together from what its nodes say; and the times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema

from builder.lab import report, times
from builder.lab.hypervisor import Power
from builder.lab.members import describe
from builder.lab.serial import Progress
from builder.site.nodes import NodeReport
from firstboot.status import (
    BrickStatus,
    DomainStatus,
    NodeStatus,
    PeerStatus,
    PhaseState,
    PhaseStatus,
    VolumeStatus,
)
from tests.unit.lab.labs import state

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def said(**changes: Any) -> NodeStatus:
    return NodeStatus.model_validate(
        {"phase": "formed", "state": PhaseState.DONE, "reason": "all is well", "since": BEGIN, **changes}
    )


def volume(*online: bool) -> VolumeStatus:
    bricks = tuple(BrickStatus(node=f"node{n}", path="/b", online=up) for n, up in enumerate(online, 1))
    return VolumeStatus(name="vmstore", type="replicate", status="Started", bricks=bricks)


def test_a_brick_is_online_when_any_node_says_so() -> None:
    (merged,) = report.merge_volumes([said(volumes=(volume(True, False),)), said(volumes=(volume(False, False),))])
    assert [brick.online for brick in merged.bricks] == [True, False]


def test_domains_have_a_state_on_every_node() -> None:
    active = DomainStatus(name="vmstore", registrar="libvirt", volume="vmstore", state="active")
    (domain,) = report.merge_domains(["node1", "node2", "node3"], {"node1": said(domains=(active,)), "node2": said()})
    assert domain.nodes == {"node1": "active", "node2": "missing", "node3": "unknown"}


def test_peers_are_seen_from_every_node() -> None:
    peer = PeerStatus(name="node2", slot=2, connected=True)
    assert report.merge_peers({"node1": said(peers=(peer,))}) == (
        report.LabPeer(node="node1", peer="node2", connected=True),
    )


def test_a_node_is_described_by_the_best_that_is_known() -> None:
    node = state().node(1)
    address = "10.0.0.1"
    spoken = Progress("disks", "waiting", "no disk matches")
    assert describe(node, Power.OFF, spoken, address, None).phase == "off"
    console = describe(node, Power.ON, spoken, address, NodeReport("10.0.0.1", 1, None, "connection refused"))
    assert (console.phase, console.reason, console.reached) == ("disks", "waiting: no disk matches", False)
    assert "connection refused" in console.hint
    own = describe(node, Power.ON, spoken, address, NodeReport("10.0.0.1", 1, said()))
    assert (own.phase, own.reached, own.address) == ("formed", True, "10.0.0.1")


def test_the_json_keeps_to_its_schema() -> None:
    status = report.LabStatus(
        name="lab",
        formed=True,
        accelerator="tcg",
        accelerator_reason="asked for",
        nodes=(describe(state().node(1), Power.ON, Progress(), None, NodeReport("10.0.0.1", 1, said())),),
        volumes=report.merge_volumes([said(volumes=(volume(True),))]),
    )
    document = status.model_dump(mode="json")
    jsonschema.validate(document, report.LabStatus.model_json_schema(mode="serialization"))
    assert document["format"] == "trivet-lab-status"
    assert report.tables(status)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def test_times_are_split_by_stage_and_phase() -> None:
    kept = times.with_power_on(times.LabTimes(name="lab"), "node1", BEGIN)
    for stage, second in (("boot menu", 2), ("kernel", 5), ("services", 40), ("kernel", 50), ("formed", 200)):
        kept = times.with_mark(kept, "node1", stage, at(second))
    kept = times.with_power_on(kept, "node2", BEGIN)
    kept = times.with_mark(kept, "node2", "formed", at(190))
    phases = (
        PhaseStatus(name="identity", state=PhaseState.DONE, started=at(80), duration_s=3.04),
        PhaseStatus(name="network", state=PhaseState.DONE, started=at(83), duration_s=10),
    )
    done = times.with_statuses(kept, {"node1": said(phases=phases)})
    parts = {part.name: part.seconds for part in done.nodes[0].parts}
    assert parts == {
        "firmware": 2.0,
        "boot menu": 3.0,
        "kernel": 35.0,
        "services": 40.0,
        "identity": 3.0,
        "network": 10.0,
    }
    assert (done.nodes[0].formed_s, done.slowest) == (200.0, "node1")
    assert times.table(done).row_count == len(parts) + 1


def test_a_new_power_on_forgets_the_boot_before() -> None:
    kept = times.with_mark(times.with_power_on(times.LabTimes(name="lab"), "a", BEGIN), "a", "kernel", at(1))
    again = times.with_power_on(kept, "a", at(100))
    assert again.nodes[0].marks == ()
