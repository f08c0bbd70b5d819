"""`trivet profile` as people and programs call it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from builder.__main__ import run
from builder.profile.document import read_document
from builder.profile.schema import CheckReport, profile_schema
from firstboot.errors import Exit
from firstboot.plan import Plan

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "profiles").glob("*.yaml"))
GOLDEN = ROOT / "tests" / "golden" / "profile"
LAB = str(ROOT / "profiles" / "lab.yaml")


def test_check_says_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "check", LAB]) == Exit.OK
    assert capsys.readouterr().out == f"{LAB}: right\n"


def test_check_reports_every_file(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [str(GOLDEN / "copies.yaml"), str(GOLDEN / "zones.yaml")]
    assert run(["profile", "check", wrong[0], LAB, wrong[1]]) == Exit.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == f"{LAB}: right\n"
    assert captured.err.count("next: correct the file") == 2


def test_check_json_follows_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = str(GOLDEN / "replica-with-two-slots.yaml")
    assert run(["profile", "check", "--json", wrong, LAB]) == Exit.BAD_INPUT
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    for document in (first, second):
        jsonschema.validate(document, CheckReport.model_json_schema())
    assert first["problems"] == [
        {
            "line": 7,
            "path": "volumes[0].replica",
            "message": "replica 3 needs 3 slots, but there are 2",
            "allowed": "slots: 3",
        }
    ]
    assert second["ok"] is True


def test_a_missing_file_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "check", "/nowhere.yaml"]) == Exit.BAD_INPUT
    assert "next: name a profile file" in capsys.readouterr().err


def test_show_prints_the_complete_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "show", LAB]) == Exit.OK
    from_yaml = yaml.safe_load(capsys.readouterr().out)
    assert run(["profile", "show", "--json", LAB]) == Exit.OK
    text = capsys.readouterr().out
    assert json.loads(text) == from_yaml
    jsonschema.validate(from_yaml, Plan.model_json_schema(mode="serialization"))
    assert Plan.model_validate_json(text).name == "lab"


def test_schema_is_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "schema"]) == Exit.OK
    document = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(document)
    assert document["title"] == "Trivet profile, format 1"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_follow_the_schema(path: Path) -> None:
    jsonschema.validate(read_document(path.read_text()).value, profile_schema())


@pytest.mark.parametrize("case", ["types", "unknown-keys", "volume-form", "network-form", "slots-bounds", "missing"])
def test_wrong_forms_do_not_follow_the_schema(case: str) -> None:
    validator = jsonschema.Draft202012Validator(profile_schema())
    assert not validator.is_valid(read_document((GOLDEN / f"{case}.yaml").read_text()).value)


@pytest.mark.parametrize("verb", ["check", "schema", "show"])
def test_help_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", verb, "--help"]) == Exit.OK
    assert "Example" in capsys.readouterr().out
