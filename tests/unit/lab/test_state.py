"""The lab's state folder: read, refused, locked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builder.lab.state import LabFolder, lab_folder, lab_names, load, locked, only_lab, save
from builder.lab.up import refuse_other
from firstboot.errors import BadInputError, RefusedError
from tests.unit.lab.labs import plan, state, wish


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIVET_LAB", str(tmp_path / "labs"))
    (tmp_path / "labs").mkdir()
    return tmp_path / "labs"


def made(name: str = "lab") -> LabFolder:
    folder = lab_folder(name)
    folder.path.mkdir()
    save(folder, state(name))
    return folder


def test_what_is_saved_is_read() -> None:
    assert load(made()) == state()


def test_a_newer_major_version_is_refused_by_name() -> None:
    folder = made()
    document = json.loads(folder.state_file.read_text())
    folder.state_file.write_text(json.dumps({**document, "version": "3.0"}))
    with pytest.raises(BadInputError, match=r"format version 3\.0; this Trivet reads 2\.x"):
        load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged"),
        ("[]", "not of format trivet-lab"),
        ('{"format": "trivet-site", "version": "1.0"}', "not of format trivet-lab"),
        ('{"format": "trivet-lab", "version": "2.0", "name": "lab"}', "damaged: plan"),
    ],
)
def test_damage_is_named(text: str, message: str) -> None:
    folder = made()
    folder.state_file.write_text(text)
    with pytest.raises(BadInputError, match=message) as raised:
        load(folder)
    assert "trivet lab down --name lab" in raised.value.hint


def test_a_half_made_lab_is_named(root: Path) -> None:
    (root / "lab").mkdir()
    with pytest.raises(BadInputError, match="half made"):
        load(lab_folder("lab"))


@pytest.mark.parametrize("name", ["", "Lab", "../lab", "1lab", "a" * 32, "lab/x", "lab\n"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(BadInputError, match="not allowed"):
        lab_folder(name)


def test_the_only_lab_need_not_be_named() -> None:
    with pytest.raises(BadInputError, match="there is no lab"):
        only_lab(None)
    made("one")
    assert only_lab(None).name == "one"
    made("two")
    with pytest.raises(BadInputError, match="several labs: one, two"):
        only_lab(None)
    with pytest.raises(BadInputError, match="no lab three; there are one, two"):
        only_lab("three")
    assert lab_names() == ["one", "two"]


def test_a_missing_node_is_named() -> None:
    with pytest.raises(BadInputError, match="lab lab has no node 4") as raised:
        state().node(4)
    assert "1 (node1), 2 (node2), 3 (node3)" in raised.value.hint


def test_a_lab_is_worked_on_by_one_command_at_a_time(root: Path) -> None:
    folder = made()
    with locked(folder):
        with pytest.raises(RefusedError, match="another trivet command"), locked(folder):
            pass
        assert (root / ".lab.lock").exists()
    with locked(folder):
        pass


def test_the_lock_goes_with_the_lab(root: Path) -> None:
    with locked(lab_folder("gone")):
        pass
    assert not list(root.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plan": plan(count=4)}, "another plan"),
        ({"nodes": 2}, "3 nodes"),
        ({"firmware": "uefi"}, "firmware bios"),
        ({"accelerator": "kvm"}, "accelerator tcg"),
        ({"memory_mib": 1024}, "2048 MiB and 1 CPUs a node"),
    ],
)
def test_another_lab_of_the_name_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        refuse_other(state(), wish(**changes))


def test_the_same_wish_goes_on() -> None:
    refuse_other(state(), wish())


@pytest.mark.parametrize("count", [0, 4, -1])
def test_nodes_without_slots_are_refused(count: int) -> None:
    with pytest.raises(BadInputError, match="has 3 slots"):
        state(nodes=count)
