"""What people and programs see: console line, login screen, table, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firstboot import cli, console, paths, statustable
from firstboot.errors import BadInputError, Exit, MissingError
from firstboot.status import (
    CardStatus,
    DomainStatus,
    NetworkStatus,
    NodeStatus,
    PeerStatus,
    PhaseState,
    PhaseStatus,
    VolumeStatus,
)

SINCE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WAITING = NodeStatus(
    phase="admit",
    state=PhaseState.WAITING,
    reason="slot 3 (node3)\nhas not appeared",
    hint="start it",
    since=SINCE,
    name="node1",
    slot=1,
    site_name="demo",
    addresses=("192.0.2.1",),
    phases=(PhaseStatus(name="identity", state=PhaseState.DONE, duration_s=1.25),),
)
CARDS = (
    CardStatus(name="eno1", mac="52:54:00:00:00:02", carrier=True, rule="name eno*"),
    CardStatus(name="eno2", mac="52:54:00:00:00:03", carrier=False, rule="name eno*"),
)
FORMED = WAITING.model_copy(
    update={
        "phase": "formed",
        "state": PhaseState.DONE,
        "reason": "formed",
        "hint": "",
        "peers": (PeerStatus(name="node2", slot=2, address="192.0.2.2", connected=True),),
        "volumes": (VolumeStatus(name="data", type="replicate", status="Started", bricks=()),),
        "domains": (DomainStatus(name="vms", registrar="libvirt", volume="data", state="active"),),
        "problems": ("disks: gone",),
        "networks": (
            NetworkStatus(name="management", link="br0", address="192.0.2.1", vlan=10, bond="bond0", cards=CARDS),
            NetworkStatus(name="br-lab", link="br-lab"),
        ),
        "unused_cards": ("eno3 (52:54:00:00:00:04)",),
    }
)


def test_console_line_is_one_line() -> None:
    assert console.line(WAITING) == "trivet: node1 phase=admit state=waiting slot 3 (node3) has not appeared"


def test_console_line_without_a_slot() -> None:
    status = NodeStatus(phase="unclaimed", state=PhaseState.WAITING, reason="waiting for a seed", since=SINCE)
    assert console.line(status) == "trivet: unclaimed phase=unclaimed state=waiting waiting for a seed"
    assert "a machine without a slot" in console.text(status)


def test_login_screen_names_reason_and_next_step() -> None:
    text = console.text(WAITING)
    assert "node1, slot 1 of site demo" in text
    assert "next: start it" in text


def test_table_has_everything() -> None:
    table = statustable.render(json.loads(FORMED.model_dump_json()))
    for part in ("node1 (slot 1 of site demo)", "formed (done) since 2026-03-04 05:06:07 UTC", "1.2 s", "node2"):
        assert part in table
    assert "vms" in table
    assert "management  br0     192.0.2.1  bond0: eno1, eno2 (no carrier), VLAN 10\n" in table
    assert "br-lab      br-lab  -          none: isolated\n" in table
    assert "unused cards: eno3 (52:54:00:00:00:04)\n" in table
    assert "problem: disks: gone" in table


def test_table_survives_a_document_of_a_newer_minor() -> None:
    assert "phase    -" in statustable.render({"version": "1.9", "phases": "surprise", "peers": [3]})


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (FORMED, Exit.OK),
        (WAITING, Exit.WAITING),
        (WAITING.model_copy(update={"state": PhaseState.FAILED}), Exit.FAILED),
    ],
)
def test_exit_codes(
    status: NodeStatus,
    code: Exit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(paths, "STATUS", tmp_path / "status.json")
    paths.STATUS.write_text(status.model_dump_json())
    assert cli.execute(["status", "--json"]) is code
    assert NodeStatus.model_validate_json(capsys.readouterr().out) == status


def test_without_an_agent_status_says_how_to_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "STATUS", tmp_path / "status.json")
    with pytest.raises(MissingError, match="no agent has run"):
        cli.execute(["status"])


def test_a_status_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "STATUS", tmp_path / "status.json")
    paths.STATUS.write_text('{"version": "2.0"}')
    with pytest.raises(BadInputError, match="is not a status"):
        cli.execute(["status"])


def test_status_imports_nothing_heavy() -> None:
    code = (
        "import sys, firstboot.cli, firstboot.statustable; "
        "print(*{'pydantic', 'cryptography', 'zeroconf', 'libvirt', 'ssl'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_phases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["phases", "--json"]) is Exit.OK
    names = [phase["name"] for phase in json.loads(capsys.readouterr().out)["phases"]]
    assert names == [
        "identity",
        "network",
        "disks",
        "discover",
        "admit",
        "found",
        "enrol",
        "pool",
        "volumes",
        "domains",
    ]


def test_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stamp = tmp_path / "build.json"
    stamp.write_text('{"version": "9.9", "epoch": 5}')
    monkeypatch.setattr("firstboot.clock.build_stamp.__defaults__", (stamp,))
    assert cli.execute(["version"]) is Exit.OK
    assert capsys.readouterr().out == "trivet-node 9.9\n"
