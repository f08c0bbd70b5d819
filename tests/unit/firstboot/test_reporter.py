"""The status is true, and told: to the service manager, to consoles, with problems where facts can't be read."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from firstboot import paths
from firstboot.console import consoles
from firstboot.context import Context
from firstboot.errors import TrivetError
from firstboot.notify import notify
from firstboot.reporter import Reporter, utc_now
from firstboot.status import NodeStatus
from tests.unit.firstboot.sites import site


@pytest.fixture
def reporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reporter:
    monkeypatch.setattr(paths, "RUN", tmp_path)
    monkeypatch.setattr(paths, "STATUS", tmp_path / "status.json")
    monkeypatch.setattr("firstboot.console.show", lambda _: None)
    monkeypatch.setattr("firstboot.console.consoles", lambda: [])
    return Reporter(("identity", "network"), now=utc_now)


def written() -> NodeStatus:
    return NodeStatus.model_validate_json(paths.STATUS.read_text())


def test_each_change_is_one_line(reporter: Reporter, capsys: pytest.CaptureFixture[str]) -> None:
    reporter.enter("identity", "find the seed")
    reporter.wait("for a seed", "bring one")
    reporter.wait("for a seed", "bring one")
    assert capsys.readouterr().out.splitlines() == [
        "trivet: unclaimed phase=identity state=running find the seed",
        "trivet: unclaimed phase=unclaimed state=waiting for a seed",
    ]


def test_a_degraded_network_is_a_problem_from_the_beginning(reporter: Reporter) -> None:
    fault = "bond0 is degraded: eno2 (52:54:00:00:00:03) has no carrier"
    reporter.attach(Context(report=reporter.progress, network_faults=(fault,)))
    reporter.enter("network", "bring up")
    assert written().problems == (f"network: {fault}",)


def test_since_is_kept_while_the_reason_stays(reporter: Reporter) -> None:
    reporter.wait("for a seed", "")
    since = written().since
    reporter.wait("for a seed", "")
    assert written().since == since


def test_a_claimed_node_has_its_name_and_no_secret(reporter: Reporter) -> None:
    seed = site()[1][1]
    context = Context(report=reporter.progress, seed=seed, node_id="a" * 32, address="192.0.2.2")
    reporter.attach(context)
    reporter.enter("network", "bring up")
    reporter.wait("for an address", "")
    status = written()
    assert (status.name, status.slot, status.site_id, status.phase) == ("node2", 2, seed.site.id, "network")
    assert status.addresses == ("192.0.2.2",)
    text = paths.STATUS.read_text()
    assert "PRIVATE" not in text
    assert seed.slot.seed_id not in text


@pytest.mark.parametrize("error", [TrivetError("glusterd does not answer"), ValueError("odd")])
def test_facts_that_can_not_be_read_are_a_problem(reporter: Reporter, error: Exception) -> None:
    def facts() -> dict[str, object]:
        raise error

    reporter.read_facts_with(facts)
    reporter.tick(["disks: gone"])
    problems = written().problems
    assert problems[0] == "disks: gone"
    assert str(error) in problems[1]


def test_progress_is_a_running_state_until_formed(reporter: Reporter) -> None:
    reporter.enter("network", "bring up")
    reporter.progress("starting")
    assert (written().state.value, written().reason) == ("running", "starting")
    reporter.form("formed: 3 nodes")
    reporter.progress("checking")
    assert (written().phase, written().reason) == ("formed", "formed: 3 nodes")


def test_the_file_is_json_for_everybody(reporter: Reporter) -> None:
    reporter.publish()
    assert json.loads(paths.STATUS.read_text())["format"] == "trivet-status"
    assert paths.STATUS.stat().st_mode & 0o777 == 0o644


def test_every_console_of_the_kernel_is_written_to(tmp_path: Path) -> None:
    active = tmp_path / "active"
    active.write_text("tty1 ttyS0\n")
    assert consoles(active) == [Path("/dev/tty1"), Path("/dev/ttyS0")]
    assert consoles(tmp_path / "none") == [paths.CONSOLE]


def test_the_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        notify("READY=1", "STATUS=up")
        assert manager.recv(100) == b"READY=1\nSTATUS=up"
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("READY=1")


def test_a_clock_that_is_set_makes_no_phase_long(reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    reporter.enter("identity", "find the seed")
    monkeypatch.setattr(reporter, "_now", lambda: utc_now() + timedelta(days=1))
    reporter.finish("identity")
    reporter.publish()
    (identity, _) = written().phases
    assert identity.duration_s is not None
    assert identity.duration_s < timedelta(days=1).total_seconds()
