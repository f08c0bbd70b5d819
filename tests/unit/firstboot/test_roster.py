"""Who answered where, and why a node waits."""

from __future__ import annotations

from firstboot.cluster.events import Endpoint, Visit
from firstboot.cluster.roster import Rival, Roster, fail, fold, obstacle, reached
from firstboot.cluster.views import View

NAMES = {1: "node1", 2: "node2", 3: "node3"}
OWN = "1" * 32
CLAIMS = {1: OWN, 2: "2" * 32, 3: "3" * 32}


def visit(
    slot: int,
    address: str,
    *,
    node: str | None = None,
    states: str | None = None,
    stores: str | None = None,
    **more: str,
) -> Visit:
    view = View(
        node_id=node or str(slot) * 32,
        slot=slot,
        seed_id="5" * 32,
        phase="admit",
        claims=CLAIMS,
        address=states,
        storage_address=stores,
    )
    return Visit(Endpoint(address, 7463), slot, view, **more)


def met(*visits: Visit, claims: dict[int, str] | None = None) -> Roster:
    roster = Roster(own_slot=1, own_id=OWN)
    for one in visits:
        roster = fold(roster, CLAIMS if claims is None else claims, one)
    return roster


def why(roster: Roster, claims: dict[int, str] | None = None) -> str:
    answer = obstacle(roster, NAMES, CLAIMS if claims is None else claims)
    return answer.reason if answer else ""


def test_all_there() -> None:
    assert why(met(visit(2, "192.0.2.2"), visit(3, "192.0.2.3"))) == ""


def test_missing_slots_are_named() -> None:
    assert why(met()) == "slots 2 (node2), 3 (node3) have not appeared"
    assert why(met(visit(2, "192.0.2.2"))) == "slot 3 (node3) has not appeared"


def test_the_cause_of_a_failed_visit_is_told() -> None:
    roster = fail(met(visit(2, "192.0.2.2")), 3, "192.0.2.3 port 7463: connection refused", "192.0.2.3")
    assert why(roster) == "slot 3 (node3) has not appeared (192.0.2.3 port 7463: connection refused)"


def test_a_member_that_did_not_claim_here_yet() -> None:
    roster = met(visit(2, "192.0.2.2"), visit(3, "192.0.2.3"))
    assert why(roster, {1: OWN, 2: CLAIMS[2]}) == "slot 3 (node3) answered, but did not claim here yet"


def test_a_second_claimant_is_told_who_holds_its_slot() -> None:
    roster = met(visit(2, "192.0.2.2", incumbent="9" * 32), visit(1, "192.0.2.9", node="9" * 32))
    assert "node2 says that slot 1 (node1) is held by node 999999999999 at 192.0.2.9" in why(roster)


def test_the_incumbent_sees_the_rival() -> None:
    second = visit(2, "192.0.2.66", node="9" * 32)
    roster = met(second)
    assert roster.rivals == {"9" * 32: Rival(2, "192.0.2.66", second.view)}
    assert 2 not in roster.contacts


def test_only_an_ipv4_address_is_used() -> None:
    roster = met(visit(2, "fe80::2%2", states="192.0.2.2"), visit(3, "192.0.2.3"))
    assert why(roster) == "slot 2 (node2) does not answer at its management address 192.0.2.2"


def test_the_stated_address_is_preferred_where_it_answered() -> None:
    roster = met(visit(2, "192.0.2.2", states="192.0.2.2"), visit(2, "198.51.100.2", states="192.0.2.2"))
    assert roster.contacts[2].address == "192.0.2.2"
    assert fail(roster, 2, "gone", "192.0.2.2").contacts[2].address == "198.51.100.2"


def test_a_storage_address_counts_once_it_answered_and_is_no_management_address() -> None:
    home, away = "192.0.2.2", "198.51.100.2"
    third = visit(3, "192.0.2.3")
    roster = met(visit(2, home, states=home, stores=away), third)
    assert roster.contacts[2].storage_address is None
    assert why(roster) == f"slot 2 (node2) does not answer at its storage address {away}"
    both = met(visit(2, home, states=home, stores=away), third, visit(2, away, states=home, stores=away))
    assert (both.contacts[2].address, both.contacts[2].storage_address, why(both)) == (home, away, "")
    assert fold(both, CLAIMS, visit(2, home, states=home, stores=away)) is both
    without = fail(both, 2, "gone", home)
    assert (without.contacts[2].address, without.contacts[2].storage_address) == (None, away)
    assert fail(both, 2, "gone", away).contacts[2].storage_address is None


def test_a_failed_address_is_forgotten_and_the_view_stays() -> None:
    roster = fail(met(visit(2, "192.0.2.2")), 2, "gone", "192.0.2.2")
    assert roster.contacts[2].address is None
    assert not roster.contacts[2].reachable
    assert roster.contacts[2].view.claims == CLAIMS


def test_a_visit_to_oneself_changes_nothing() -> None:
    assert met(visit(1, "192.0.2.1", node=OWN)) == Roster(own_slot=1, own_id=OWN)


def test_a_copy_of_this_machine_is_named() -> None:
    view = View(node_id=OWN, slot=1, seed_id="5" * 32, phase="admit", claims=CLAIMS, run="7" * 32)
    roster = met(Visit(Endpoint("192.0.2.9", 7463), 1, view))
    assert "another machine, at 192.0.2.9, runs as this very node" in why(roster)


def test_what_a_silent_member_said_of_our_slot_is_of_no_use() -> None:
    roster = fail(met(visit(2, "192.0.2.2", incumbent="9" * 32)), 2, "gone", "192.0.2.2")
    assert "held by" not in why(roster)


def test_of_many_missing_slots_some_are_named() -> None:
    names = {slot: f"node{slot}" for slot in range(1, 61)}
    roster = met()
    for slot in range(2, 61):
        roster = fail(roster, slot, f"192.0.2.{slot}: no answer", f"192.0.2.{slot}")
    waiting = obstacle(roster, names, CLAIMS)
    assert waiting is not None
    assert "9 (node9) and 51 more have not appeared" in waiting.reason
    assert waiting.reason.count("no answer") == 3


def test_others_are_told_where_members_were_met() -> None:
    roster = met(visit(2, "192.0.2.2"), visit(3, "fe80::3%2"))
    assert reached(roster) == {2: "192.0.2.2"}
    assert reached(fail(roster, 2, "gone", "192.0.2.2")) == {}
