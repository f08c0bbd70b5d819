"""Kill points: the same in every run, whatever its ids, devices and how often it looked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from firstboot.gluster import client
from firstboot.gluster.store import CUT_OFF_S
from firstboot.run import Completed
from tests.netns.crash.cuts import Daemon
from tests.netns.crash.points import Numbering, Order, Point, command_line, read_record, target_of
from tests.netns.namespaces import Node

MKFS = ("mkfs.xfs", "-m", "uuid=0b1f5a52-6f0c-5f3e-9a53-0f1e6a2b7c11", "-L", "trivet-new", "/dev/loop17")
CREATE = "gluster --mode=script --xml volume create data"


def test_ids_and_devices_are_no_part_of_a_point() -> None:
    assert command_line(MKFS) == "mkfs.xfs -m uuid=UUID -L trivet-new /dev/DISK"
    other = (*MKFS[:2], "uuid=ffffffff-6f0c-5f3e-9a53-0f1e6a2b7c11", *MKFS[3:-1], "/dev/loop3")
    assert command_line(other) == command_line(MKFS)


def test_a_temporary_file_counts_as_what_it_is_going_to_be() -> None:
    assert target_of("/var/lib/trivet/.claims.json.a1b2_3d4.trivet-new") == "/var/lib/trivet/claims.json"
    assert target_of("/mnt/.trivet-brick.json") == "/mnt/.trivet-brick.json"


def test_looks_and_volatile_files_count_once() -> None:
    numbering = Numbering()
    for kind, what in (
        ("command", "gluster --mode=script --xml pool list"),
        ("command", "systemctl is-active --quiet glusterd"),
        ("write", "/run/trivet/status.json"),
    ):
        assert [numbering.next(kind, what) for _ in range(3)] == [1, None, None]


def test_what_changes_something_counts_each_time() -> None:
    numbering = Numbering()
    for kind, what in (("command", CREATE), ("write", "/var/lib/trivet/claims.json"), ("libvirt", "pool.create")):
        assert [numbering.next(kind, what) for _ in range(3)] == [1, 2, 3]


def test_gluster_is_changed_by_commands_that_are_no_looks() -> None:
    assert Point("command", CREATE, "before").changes_gluster
    assert not Point("command", "gluster --mode=script --xml volume info", "before").changes_gluster
    assert not Point("command", "mkfs.xfs", "before").changes_gluster


def test_the_agents_own_commands_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def run(argv: list[str], **_: object) -> Completed:
        lines.append(command_line(argv))
        return Completed(tuple(argv), 0, "<cliOutput><opRet>0</opRet></cliOutput>", "", 0.0)

    monkeypatch.setattr(client, "run", run)
    client.pool()
    client.volumes()
    client.clients("data")
    client.create("data", ("replica", "3"), ("node1:/srv",))
    client.probe("node2")
    points = [Point("command", line, "before") for line in lines]
    assert [point.changes_gluster for point in points] == [False, False, False, True, True]
    assert lines[3].startswith(CREATE), "a point is named by how its command begins"
    assert lines[4].startswith("gluster --mode=script --xml peer probe node2")


def test_a_meeting_that_lasts_is_told_as_the_agent_tells_it() -> None:
    each = Daemon(cast("Node", None), Path("cut.so"))
    assert each.since.due({"node2"}, 0.0) == []
    assert each.since.due({"node2"}, CUT_OFF_S) == ["node2"]


def test_a_moment_within_a_call_knows_its_end() -> None:
    end = Point("command", CREATE, "after", 2)
    within = end.within(0.4)
    assert str(within) == f"40% into command {CREATE} #2"
    assert within.is_within
    assert within.end == end
    assert not end.is_within


def test_an_order_goes_through_argv() -> None:
    for order in (Order(), Order(Point("command", CREATE, "40% into"), with_node=True, delay_s=0.25)):
        assert Order.load(order.dump()) == order


def lines(*entries: dict[str, object]) -> list[str]:
    return [json.dumps(entry) + "\n" for entry in entries]


def test_a_record_is_read_back() -> None:
    after = {"kind": "command", "what": CREATE, "phase": "after", "occurrence": 1}
    record = read_record(
        [
            *lines(
                {"call": 1},
                {"point": {**after, "phase": "before"}},
                {"point": after, "took_s": 0.5},
                {"opened": "/var/lib/trivet/claims.json"},
                {"call": 1},
                {"synced": "/var/lib/trivet/claims.json"},
                {"hit": after, "late": True},
            ),
            '{"call": 1, "cut of',
        ]
    )
    end = Point("command", CREATE, "after")
    assert record.calls == 2
    assert record.points == (Point("command", CREATE, "before"), end)
    assert record.durations_s == {end: 0.5}
    assert (record.hit, record.late, record.findings) == (end, True, ())


def test_writes_that_a_power_cut_would_lose_are_found() -> None:
    record = read_record(lines({"opened": "/etc/hosts"}, {"finding": "the folder of /etc/hostname was not fsynced"}))
    assert record.findings == (
        "the folder of /etc/hostname was not fsynced",
        "/etc/hosts was written, and never fsynced",
    )
