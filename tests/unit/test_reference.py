"""The published schemas, and that what the commands print fits them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from builder import reference

ROOT = Path(__file__).parents[2]


def schema(name: str) -> dict[str, object]:
    document = json.loads((reference.FOLDER / f"{name}.json").read_text())
    assert isinstance(document, dict)
    return document


def test_published_schemas_are_those_of_the_code() -> None:
    published = {path.name: path.read_text() for path in reference.FOLDER.glob("*.json")}
    assert published == reference.files(), "run: python -m builder.reference"


@pytest.mark.parametrize("name", sorted(reference.schemas()))
def test_a_published_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_every_schema_is_named_in_the_formats_guide() -> None:
    guide = (ROOT / "docs" / "formats.md").read_text()
    missing = [name for name in reference.schemas() if not re.search(rf"schemas/{name}\.json", guide)]
    assert not missing


@pytest.mark.parametrize("verb", ["version", "phases"])
def test_node_verbs_print_their_format(verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "firstboot", verb, "--json"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    jsonschema.validate(json.loads(done.stdout), schema(f"trivet-node-{verb}"))
