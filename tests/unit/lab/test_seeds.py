"""Seeds of lab machines: which sites a lab may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.lab import seeds
from builder.lab.view import View
from builder.site.folder import create_site
from firstboot.errors import RefusedError
from tests.unit.lab.labs import plan, state


def test_a_site_with_a_passphrase_is_refused_before_any_seed(tmp_path: Path) -> None:
    create_site(tmp_path / "s", "locked", plan(), passphrase="open sesame")
    with pytest.raises(RefusedError, match="has a passphrase, and a lab issues seeds by itself"):
        seeds.make_site(state(site_folder=tmp_path / "s"), View(()))


def test_a_site_of_another_plan_is_refused(tmp_path: Path) -> None:
    create_site(tmp_path / "s", "other", plan(count=5))
    with pytest.raises(RefusedError, match="another plan"):
        seeds.make_site(state(site_folder=tmp_path / "s"), View(()))


def test_a_missing_site_is_made_and_then_taken_as_it_is(tmp_path: Path) -> None:
    lab = state(site_folder=tmp_path / "s")
    seeds.make_site(lab, View(()))
    made = (tmp_path / "s" / "site.json").read_bytes()
    seeds.make_site(lab, View(()))
    assert (tmp_path / "s" / "site.json").read_bytes() == made
