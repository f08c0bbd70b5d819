"""What the lab says to a person: reasons when a cluster does not form, and the verbs' help."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from builder.__main__ import run
from builder.lab.commands import lab
from builder.lab.serial import Progress
from builder.lab.state import LabFolder
from builder.lab.view import View
from builder.lab.watch import explain
from firstboot.errors import Exit
from tests.unit.lab.labs import state

FOLDER = LabFolder(Path("/labs/lab"))


def test_what_is_missing_is_said_for_every_node() -> None:
    far = {
        "node1": Progress("admit", "waiting", "slots 3 (node3) have not appeared"),
        "node2": Progress("kernel", reason="first boot: filling /dev/vda6"),
    }
    text = explain(FOLDER, state(nodes=2), far, None, "lab lab has not formed within its time limit")
    assert text.splitlines() == [
        "lab lab has not formed within its time limit",
        "  node1: admit: waiting: slots 3 (node3) have not appeared",
        "    serial log: /labs/lab/node1/serial.log",
        "  node2: booting (kernel): first boot: filling /dev/vda6",
        "    serial log: /labs/lab/node2/serial.log",
        "  not started: node3 (1 of 3 slots); a site forms when all are there",
    ]


def test_without_a_terminal_every_change_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with View(("node1",)) as view:
        view.step("making the site")
        view.progress("node1", Progress("disks", "waiting", "no disk matches [rule]"))
        view.tick()
    lines = [line.split("] ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["making the site", "node1: disks waiting: no disk matches [rule]"]


@pytest.mark.parametrize("verb", sorted(lab.commands))
def test_every_verb_helps_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = lab.commands[verb]
    assert isinstance(command, click.Command)
    assert run(["lab", verb, "--help"]) == Exit.OK
    assert f"trivet lab {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["status"], ["console", "1"], ["ssh", "1"], ["stop", "1"], ["start", "1"], ["times"]]
)
def test_without_a_lab_the_next_step_is_said(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIVET_LAB", str(tmp_path))
    assert run(["lab", *words]) == Exit.BAD_INPUT
    assert "trivet lab up profiles/lab.yaml" in capsys.readouterr().err


def test_down_and_list_without_a_lab_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIVET_LAB", str(tmp_path))
    assert run(["lab", "down"]) == Exit.OK
    assert run(["lab", "down", "--name", "gone"]) == Exit.OK
    assert run(["lab", "list", "--json"]) == Exit.OK
    assert '"labs": []' in capsys.readouterr().out


def test_a_bad_profile_stops_before_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "up", str(tmp_path / "none.yaml")]) == Exit.BAD_INPUT
    assert "none.yaml can't be read" in capsys.readouterr().err
