"""The journal: durable, bound to one node, and its one binding decision."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from firstboot.errors import BadInputError, RefusedError
from firstboot.state import Journal, KnownMember

NODE, OTHER, SITE = "a" * 32, "b" * 32, "c" * 32
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_what_is_noted_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    journal = Journal(path)
    journal.belong(site_id=SITE, node_id=NODE)
    journal.finish("identity", NOW)
    journal.decide_founder(2)
    journal.know_members({1: KnownMember(node_id=OTHER, address="192.0.2.1")})
    assert Journal(path).document == journal.document
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_first_completion_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.json")
    journal.finish("identity", NOW)
    journal.finish("identity", NOW.replace(year=2030))
    assert journal.document.phases == {"identity": NOW}


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    journal = Journal(path)
    journal.decide_founder(1)
    before = path.stat()
    journal.decide_founder(1)
    assert path.stat().st_ino == before.st_ino


def test_a_decided_founder_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    Journal(path).decide_founder(1)
    with pytest.raises(RefusedError, match="slot 1 was decided"):
        Journal(path).decide_founder(2)


def test_a_copied_state_partition_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    Journal(path).belong(site_id=SITE, node_id=NODE)
    with pytest.raises(RefusedError, match="belongs to node"):
        Journal(path).belong(site_id=SITE, node_id=OTHER)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "other"}', '{"surprise": 1}'])
def test_damage_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "journal.json"
    path.write_text(content)
    with pytest.raises(BadInputError, match=r"journal\.json is (damaged|not of format)"):
        Journal(path)


def test_a_newer_major_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    path.write_text('{"format": "trivet-journal", "version": "2.0"}')
    with pytest.raises(BadInputError, match=r"version 2\.0; this node reads 1\.x"):
        Journal(path)
