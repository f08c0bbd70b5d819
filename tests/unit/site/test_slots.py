"""Slots: a seed each, recorded before it is handed out."""

from __future__ import annotations

import pytest

from builder.site.folder import Site, open_site
from builder.site.slots import find_slot, issue_seed, slot_uses
from firstboot.cluster.trust import verify_seed
from firstboot.errors import BadInputError, RefusedError
from firstboot.seed import Overrides


def test_a_seed_proves_its_slot_and_carries_the_plan(site: Site) -> None:
    seed = issue_seed(site, 2, written_to="stick", overrides=Overrides(peers=("192.0.2.11",)))
    verify_seed(seed)
    assert (seed.site.name, seed.slot.number, seed.plan) == ("trio", 2, site.plan)
    assert seed.overrides.peers == ("192.0.2.11",)


def test_an_issue_is_recorded(site: Site) -> None:
    seed = issue_seed(site, 1, written_to="stick")
    (issue,) = open_site(site.path).record.issues
    assert (issue.slot, issue.seed_id, issue.written_to) == (1, seed.slot.seed_id, "stick")
    assert seed.slot.key not in (site.path / "site.json").read_text()


def test_a_used_slot_is_refused_unless_again(site: Site) -> None:
    first = issue_seed(site, 1, written_to="stick")
    with pytest.raises(RefusedError, match="slot 1 of site trio has a seed already, written to stick"):
        issue_seed(site, 1, written_to="other stick")
    second = issue_seed(site, 1, written_to="other stick", again=True)
    assert second.slot.seed_id != first.slot.seed_id
    assert second.slot.certificate != first.slot.certificate
    assert [len(use.issues) for use in slot_uses(open_site(site.path))] == [2, 0, 0]


def test_slots_by_number_and_name(site: Site) -> None:
    assert find_slot(site, "2") == find_slot(site, "node2") == site.plan.slot(2)
    for wrong in ("4", "0", "node4", "", "١"):
        with pytest.raises(BadInputError, match="has no slot"):
            find_slot(site, wrong)


def test_a_slot_that_is_not_there_is_not_recorded(site: Site) -> None:
    with pytest.raises(BadInputError, match="has no slot 4"):
        issue_seed(site, 4, written_to="stick")
    assert open_site(site.path).record.issues == ()
