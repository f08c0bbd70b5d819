"""Who of several machines that prove a slot is its node: what a machine says alone counts for nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from builder.site import nodes
from builder.site.folder import Site
from builder.site.nodes import NodeReport, ask_site
from builder.site.reports import missing_slots
from builder.site.strays import strays
from firstboot.status import NodeStatus, PeerStatus, PhaseState

OLD, NEW = "a" * 32, "b" * 32
SEEDS = (OLD, NEW)


def node(number: int) -> str:
    return f"{number:032x}"


def at(number: int) -> str:
    return f"192.0.2.{number}"


def report(
    number: int,
    slot: int,
    *,
    seed: str = OLD,
    removed: tuple[int, ...] = (),
    sees: dict[int, int] | None = None,
    epoch: int | None = 3,
) -> NodeReport:
    """A machine at an address of its own; `sees` are the nodes that it takes for the other slots'."""
    peers = tuple(
        PeerStatus(name=f"node{other}", slot=other, node_id=node(held), address=at(held), connected=True)
        for other, held in (sees or {}).items()
    )
    status = NodeStatus(
        phase="formed",
        state=PhaseState.DONE,
        reason="",
        since=datetime(2026, 1, 1, tzinfo=UTC),
        epoch=epoch,
        removed_nodes=tuple(map(node, removed)),
        peers=peers,
    )
    return NodeReport(at(number), slot, status, seed_id=seed, node_id=node(number))


def test_a_removed_machine_that_is_on_is_none() -> None:
    """It does not know it yet, and has an address that is asked first."""
    reports = [report(9, 3), report(1, 1, removed=(9,)), report(2, 2, removed=(9,))]
    assert strays(reports, SEEDS) == {node(9): "it was removed from the cluster"}
    assert strays([report(9, 3, removed=(9,))], SEEDS), "it says so itself"


def test_one_machine_alone_removes_nobody() -> None:
    liar = report(9, 3, removed=(1, 2), epoch=10**9)
    assert strays([liar, report(1, 1), report(2, 2)], SEEDS) == {}
    reports = [liar, report(1, 1, removed=(9,)), report(2, 2, removed=(9,))]
    assert strays(reports, SEEDS) == {node(9): "it was removed from the cluster"}
    waiting = report(4, 4, epoch=None)
    assert strays([*reports[:2], waiting], SEEDS)[node(9)], "who knows no members says nothing about them"


def test_whom_the_others_see_in_a_slot_is_its_node() -> None:
    first, second = report(1, 1, sees={2: 2, 3: 3}), report(2, 2, sees={1: 1, 3: 3})
    claimant = report(9, 3, seed=NEW, sees={1: 9, 2: 9})
    assert strays([claimant, first, second, report(3, 3)], SEEDS) == {node(9): "node 000000000000 holds slot 3"}
    assert strays([claimant, first, second], SEEDS) == {node(9): "node 000000000000 holds slot 3"}, "it is off"


def test_where_nobody_knows_it_is_the_seed_that_was_issued_last() -> None:
    for reports in ([report(1, 1), report(2, 1, seed=NEW)], [report(2, 1, seed=NEW), report(1, 1)]):
        assert strays(reports, SEEDS) == {node(1): "node 000000000000 holds slot 1"}
    assert strays([report(1, 1)], SEEDS) == {}, "another seed was made, but its machine did not come"
    assert strays([NodeReport("192.0.2.7", None, None, "silent")], SEEDS) == {}


def test_a_slot_that_only_a_stray_answers_for_is_missing(site: Site) -> None:
    reports = [report(1, 1, removed=(9,)), report(2, 2, removed=(9,)), report(9, 3, epoch=2)]
    assert missing_slots(site, reports) == (3,)


def test_members_are_asked_where_others_see_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The removed machine was heard of in the place of the new one."""
    answers = {
        at(1): report(1, 1, removed=(9,), sees={2: 2, 3: 3}),
        at(2): report(2, 2, removed=(9,), sees={1: 1, 3: 3}),
        at(3): report(3, 3, removed=(9,)),
        at(9): report(9, 3),
    }
    asked: list[str] = []

    def ask(_: Site, address: str) -> NodeReport:
        asked.append(address)
        return answers[address]

    monkeypatch.setattr(nodes, "ask_status", ask)
    found = ask_site(site, [at(1), at(2), at(9)])
    assert sorted(asked) == [at(1), at(2), at(3), at(9)]
    assert strays(found, SEEDS) == {node(9): "it was removed from the cluster"}
    assert missing_slots(site, found) == ()
