"""`trivet site` as people and programs call it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
import yaml

from builder.__main__ import run
from builder.site import discovery, nodes, seeds
from builder.site.discovery import Hint
from builder.site.folder import Site, open_site
from builder.site.inventory import ansible_inventory
from builder.site.nodes import NodeReport
from builder.site.reports import SiteList, SiteStatus, SlotList, site_status
from builder.site.slots import issue_seed
from firstboot.cluster.trust import verify_seed
from firstboot.errors import Exit, MissingError
from firstboot.seed import Seed, decode
from firstboot.status import NodeStatus, PhaseState

ROOT = Path(__file__).parents[3]
LAB = str(ROOT / "profiles" / "lab.yaml")


@pytest.fixture
def rack1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    """A site made by the command, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    assert run(["site", "new", "rack1", "--profile", LAB]) == Exit.OK
    assert "next: trivet site seed rack1 1 -o node1.img" in capsys.readouterr().out
    return open_site(tmp_path / "sites" / "rack1")


def status_of(phase: str) -> NodeStatus:
    state = PhaseState.DONE if phase == "formed" else PhaseState.WAITING
    return NodeStatus(phase=phase, state=state, reason="as it is", since=datetime(2026, 1, 1, tzinfo=UTC))


def test_new_refuses_what_is_there(rack1: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["site", "new", "rack1", "--profile", LAB]) == Exit.REFUSED
    assert "sites/rack1 is there already" in capsys.readouterr().err


def test_a_wrong_profile_makes_no_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = str(ROOT / "tests" / "golden" / "profile" / "copies.yaml")
    assert run(["site", "new", "rack1", "--profile", wrong]) == Exit.BAD_INPUT
    assert list(tmp_path.iterdir()) == []


def test_seed_to_a_file(rack1: Site, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["site", "seed", "rack1", "node2", "-o", "node2.json", "--format", "file", "--peer", "192.0.2.11"]
    assert run(argv) == Exit.OK
    assert capsys.readouterr().out == "node2.json: seed of slot 2 (node2) of site rack1\n"
    seed = decode(Path("node2.json").read_bytes(), source="node2.json")
    verify_seed(seed)
    assert seed.overrides.peers == ("192.0.2.11",)
    assert run(argv) == Exit.REFUSED
    assert "node2.json is there already" in capsys.readouterr().err
    argv[5] = "other.json"
    assert run(argv) == Exit.REFUSED
    assert "slot 2 of site rack1 has a seed already" in capsys.readouterr().err
    assert run([*argv, "--again"]) == Exit.OK
    assert decode(Path("other.json").read_bytes(), source="x").slot.seed_id != seed.slot.seed_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rack1", "7", "-o", "x.img"], "has no slot 7"),
        (["rack1", "1", "-o", "nowhere/x.img"], "folder nowhere is not there"),
        (["rack1", "1", "-o", "x.raw", "--format", "image"], "x.raw can't be read"),
        (["rack1", "1", "-o", "x.img", "--peer", "-x"], "is not an address"),
        (["rack2", "1", "-o", "x.img"], "sites/rack2 is not a site folder"),
    ],
)
def test_a_refused_seed_uses_no_slot(
    rack1: Site, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["site", "seed", *arguments]) == Exit.BAD_INPUT
    assert message in capsys.readouterr().err
    assert open_site(rack1.path).record.issues == ()


def test_a_seed_that_can_not_be_written_says_how_to_go_on(
    rack1: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(path: Path, seed: Seed) -> None:
        raise MissingError("program mkfs.fat is not installed")

    monkeypatch.setattr(seeds, "write_seed_disk", missing)
    assert run(["site", "seed", "rack1", "1", "-o", "x.img"]) == Exit.MISSING
    said = capsys.readouterr().err
    assert "x.img can't be written: program mkfs.fat is not installed" in said
    assert "trivet site seed rack1 1 -o FILE --again" in said
    assert run(["site", "slot", "add", "rack1", "node4", "-o", "y.img"]) == Exit.MISSING
    assert "trivet site seed rack1 4 -o FILE --again" in capsys.readouterr().err, "slot add has no such option"
    assert run(["site", "slot", "add", "rack1", "node4", "-o", "y.img"]) == Exit.REFUSED
    assert "trivet site seed rack1 4 -o FILE --again" in capsys.readouterr().err


def test_passphrase_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text("correct horse\n")
    assert run(["site", "new", "safe", "--profile", LAB, "--passphrase-file", "secret"]) == Exit.OK
    seed = ["site", "seed", "safe", "1", "-o", "x.json", "--format", "file"]
    assert run(seed) == Exit.BAD_INPUT
    assert "has a passphrase" in capsys.readouterr().err
    Path("short").write_text("short\n")
    assert run([*seed, "--passphrase-file", "short"]) == Exit.BAD_INPUT
    assert run([*seed, "--passphrase-file", "secret"]) == Exit.OK


def test_slot_list(rack1: Site, capsys: pytest.CaptureFixture[str]) -> None:
    run(["site", "seed", "rack1", "1", "-o", "x.json", "--format", "file"])
    capsys.readouterr()
    assert run(["site", "slot", "list", "rack1", "--json"]) == Exit.OK
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SlotList.model_json_schema(mode="serialization"))
    assert [len(slot["issues"]) for slot in document["slots"]] == [1, 0, 0]
    assert document["slots"][0]["issues"][0]["written_to"].endswith("/x.json")
    assert run(["site", "slot", "list", "rack1"]) == Exit.OK
    assert capsys.readouterr().out.count("free") == 2


def test_list(rack1: Site, capsys: pytest.CaptureFixture[str]) -> None:
    broken = rack1.path.parent / "broken"
    broken.mkdir(mode=0o700)
    (broken / "site.json").write_text("{}")
    assert run(["site", "list", "--json"]) == Exit.OK
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SiteList.model_json_schema(mode="serialization"))
    assert [(site["name"], bool(site["error"])) for site in document["sites"]] == [(None, True), ("rack1", False)]
    assert run(["site", "list"]) == Exit.OK
    assert "rack1" in capsys.readouterr().out


def test_list_without_sites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["site", "list"]) == Exit.OK
    assert "make one: trivet site new" in capsys.readouterr().out


def test_status_of_nodes_that_answer(
    rack1: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    phases = {"192.0.2.1": "formed", "192.0.2.2": "pool"}
    slots = {"192.0.2.1": 1, "192.0.2.2": 2}
    monkeypatch.setattr(nodes, "ask_status", lambda site, at: NodeReport(at, slots[at], status_of(phases[at])))
    both = ["--node", "192.0.2.1", "--node", "192.0.2.2"]
    assert run(["site", "status", "rack1", "--json", *both]) == Exit.WAITING
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SiteStatus.model_json_schema(mode="serialization"))
    assert [(node["name"], node["status"]["phase"]) for node in document["nodes"]] == [
        ("node1", "formed"),
        ("node2", "pool"),
    ]
    phases["192.0.2.2"] = "formed"
    assert run(["site", "status", "rack1", *both]) == Exit.OK
    assert capsys.readouterr().out.count("formed") == 2


def test_status_says_why_a_node_waits_that_can_only_be_heard(
    rack1: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until it is admitted it answers nobody, but it is announced with the reason that its console shows."""
    said = Hint(2, ("192.0.2.2",), "disks", "no disk matches")
    monkeypatch.setattr(discovery, "browse", lambda site_id, slots, timeout_s: (said,) if 2 in slots else ())
    monkeypatch.setattr(nodes, "ask_status", lambda site, at: NodeReport(at, None, None, "no answer"))
    assert run(["site", "status", "rack1", "--json"]) == Exit.WAITING
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SiteStatus.model_json_schema(mode="serialization"))
    (line,) = document["announced"]
    assert (line["name"], line["phase"], line["reason"]) == ("node2", "disks", "no disk matches")
    assert "node2" in document["missing"], "nothing of it is proved"
    assert run(["site", "status", "rack1"]) == Exit.WAITING
    assert "by mDNS, not proved" in " ".join(capsys.readouterr().out.split())


def test_a_site_is_formed_when_every_slot_is(rack1: Site) -> None:
    formed = [NodeReport(f"192.0.2.{slot}", slot, status_of("formed")) for slot in (1, 2, 3)]
    assert site_status(rack1, formed, every_slot=True).formed
    partial = site_status(rack1, formed[:2], every_slot=True)
    assert (partial.formed, partial.missing) == (False, ("node3",))
    assert not site_status(rack1, [], every_slot=False).formed
    closed = status_of("formed").model_copy(update={"epoch": 4, "closed_slots": (3,)})
    older = status_of("formed").model_copy(update={"epoch": 3, "closed_slots": (1, 2)})
    smaller = [NodeReport("192.0.2.1", 1, closed), NodeReport("192.0.2.2", 2, older)]
    assert site_status(rack1, smaller, every_slot=True).formed, "nobody is to come into a closed slot"
    assert site_status(rack1, smaller[1:], every_slot=True).missing == ("node3",)
    silent = NodeReport("192.0.2.3", 3, None, "silent")
    assert not site_status(rack1, [*formed[:2], silent], every_slot=True).formed


def test_inventory(rack1: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Slot 3's former node is on, too, and stands first."""
    seeds_of = {last: issue_seed(rack1, slot, again=True).slot.seed_id for last, slot in ((8, 3), (1, 1), (3, 3))}

    def ask(site: Site, at: str) -> NodeReport:
        last = int(at[-1])
        if last == 9:
            return NodeReport(at, None, None, "silent")
        status = status_of("formed").model_copy(update={"epoch": 3, "removed_nodes": (f"{8:032x}",)})
        told = status_of("formed") if last == 8 else status
        return NodeReport(at, 1 if last == 1 else 3, told, seed_id=seeds_of[last], node_id=f"{last:032x}")

    monkeypatch.setattr(nodes, "ask_status", ask)
    nodes_given = [word for last in (8, 1, 3, 9) for word in ("--node", f"192.0.2.{last}")]
    assert run(["site", "inventory", "rack1", "--ansible", *nodes_given]) == Exit.OK
    captured = capsys.readouterr()
    assert "slot 2 (node2) was not found" in captured.err
    assert "trivet: silent" in captured.err
    assert "192.0.2.8 is left out: it was removed from the cluster" in captured.err
    group = yaml.safe_load(captured.out)["all"]["children"]["trivet_rack1"]
    assert {name: host["ansible_host"] for name, host in group["hosts"].items()} == {
        "node1": "192.0.2.1",
        "node3": "192.0.2.3",
    }
    assert group["vars"]["ansible_user"] == "root"
    assert "StrictHostKeyChecking=yes" in group["vars"]["ansible_ssh_common_args"]


def test_a_machine_that_is_no_member_does_not_keep_a_site_from_being_formed(
    rack1: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(site: Site, at: str) -> NodeReport:
        last = int(at[-1])
        told = status_of("formed" if last < 4 else "admit")
        told = told.model_copy(update={"epoch": 4, "removed_nodes": (f"{4:032x}",)})
        return NodeReport(at, min(last, 3), told, seed_id=f"{last:032x}", node_id=f"{last:032x}")

    monkeypatch.setattr(nodes, "ask_status", ask)
    argv = ["site", "status", "rack1", *(word for last in (1, 2, 3, 4) for word in ("--node", f"192.0.2.{last}"))]
    assert run([*argv, "--json"]) == Exit.OK
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SiteStatus.model_json_schema(mode="serialization"))
    assert [node["stray"] for node in document["nodes"]] == ["", "", "", "it was removed from the cluster"]
    assert run(argv) == Exit.OK
    assert "not this slot's node" in " ".join(capsys.readouterr().out.split())
    assert run([*argv[:3], "--node", "192.0.2.4"]) == Exit.WAITING, "alone it is none either"


def test_group_names_are_ansibles(rack1: Site) -> None:
    assert list(ansible_inventory(rack1, {})["all"]["children"]) == ["trivet_rack1"]


@pytest.mark.parametrize("verb", [["new"], ["seed"], ["slot", "list"], ["list"], ["status"], ["inventory"]])
def test_help_has_an_example(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["site", *verb, "--help"]) == Exit.OK
    assert "Example" in capsys.readouterr().out


def test_a_further_slot_with_its_seed(rack1: Site, capsys: pytest.CaptureFixture[str]) -> None:
    count = len(rack1.plan.slots)
    name = f"node{count + 1}"
    assert run(["site", "slot", "add", "rack1", "-o", "late.json", "--format", "file"]) == Exit.OK
    seed = decode(Path("late.json").read_bytes(), source="late.json")
    verify_seed(seed)
    assert seed.plan.slot(count + 1).later
    assert capsys.readouterr().out.splitlines() == [
        f"late.json: seed of slot {count + 1} ({name}) of site rack1, which was added",
        f"  next, on any member: trivet-node slot add {count + 1} {name} --seed {seed.slot.seed_id}",
    ]
    assert run(["site", "slot", "add", "rack1", "far"]) == Exit.OK
    said = capsys.readouterr().out
    assert f"its seed: trivet site seed rack1 {count + 2} -o far.img" in said
    assert f"next, on any member: trivet-node slot add {count + 2} far" in said
    assert [slot.name for slot in open_site(rack1.path).plan.slots][count:] == [name, "far"]


def test_a_further_slot_that_can_not_be(rack1: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["site", "slot", "add", "rack1", "node1"]) == Exit.REFUSED
    Path("there.img").touch()
    assert run(["site", "slot", "add", "rack1", "-o", "there.img"]) == Exit.REFUSED
    assert "there.img is there already" in capsys.readouterr().err
    assert open_site(rack1.path).plan == rack1.plan
