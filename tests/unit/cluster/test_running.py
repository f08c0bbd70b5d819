"""How often nodes visit each other, and when what others show is news."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from firstboot.cluster import running as room
from firstboot.cluster.ballots import FIRST
from firstboot.cluster.changes import RemoveNode
from firstboot.cluster.exchange import FORMING_S, KEEPING_S
from firstboot.cluster.members import Members
from firstboot.cluster.running import Running, pace, view_of
from firstboot.cluster.skew import Source
from firstboot.cluster.views import View
from firstboot.context import Context, Look
from tests.unit.cluster.documents import founded, node, seed
from tests.unit.firstboot.gluster.formed import context as formed


class Bench:
    """A formed node, and what it knows of the others."""

    def __init__(self) -> None:
        self.paces: list[float] = []
        self.views: dict[int, View] = {}
        self.context = Context(report=lambda _: None, node_id=node(1))
        self.context.finished.add("domains")
        self.assembly = SimpleNamespace(members=founded(), answering=lambda: dict(self.views), removal="")
        exchange = SimpleNamespace(pace=self.paces.append)
        self.running = cast("Running", SimpleNamespace(assembly=self.assembly, exchange=exchange, shown={}))

    def show(self, slot: int, phase: str) -> None:
        self.views[slot] = View(node_id=node(slot), slot=slot, seed_id=seed(slot), phase=phase)

    def pace(self) -> tuple[float, bool]:
        is_new = pace(self.running, self.context)
        return self.paces[-1], is_new


def test_visits_are_rare_when_all_are_formed() -> None:
    bench = Bench()
    bench.show(2, "formed")
    assert bench.pace() == (KEEPING_S, True)
    assert bench.pace() == (KEEPING_S, False)
    bench.show(3, "enrol")
    assert bench.pace() == (FORMING_S, True), "a machine comes"
    bench.show(3, "pool")
    assert bench.pace() == (FORMING_S, True)
    bench.show(3, "formed")
    assert bench.pace() == (KEEPING_S, True)


def test_visits_are_frequent_while_something_changes() -> None:
    bench = Bench()
    bench.context.finished.clear()
    assert bench.pace() == (FORMING_S, False)
    bench.context.finished.add("domains")
    after = RemoveNode(node(3)).apply(founded())
    assert isinstance(after, Members)
    bench.assembly.members = after
    assert bench.pace() == (FORMING_S, False)
    bench.assembly.removal = "this node was removed"
    assert bench.pace() == (KEEPING_S, False)


def test_it_is_news_that_another_one_has_looked_at_its_bricks() -> None:
    bench = Bench()
    bench.show(2, "formed")
    assert bench.pace()[1]
    bench.views[2] = bench.views[2].model_copy(update={"looked": 2})
    assert bench.pace()[1], "who waits for that look goes on at once"
    assert not bench.pace()[1]


class Looking(Context):
    """Each time that its look is read, the volumes phase has made another one: in odd epochs something is healing."""

    looks = 0

    def __getattribute__(self, name: str) -> object:
        if name != "look":
            return super().__getattribute__(name)
        Looking.looks += 1
        return Look(("data",) if self.looks % 2 else (), self.looks)


def test_what_is_healing_is_shown_with_the_epoch_of_that_very_look(monkeypatch: pytest.MonkeyPatch) -> None:
    context = Looking(report=lambda _: None, seed=formed(2).seed, node_id=node(2))
    monkeypatch.setattr(room, "reached", lambda _: {})
    votes = SimpleNamespace(claims={}, releases={}, attempt=FIRST, ready=None, founder=1)
    ballot = SimpleNamespace(identity=SimpleNamespace(node_id=node(2), run="7" * 32), votes=votes, roster=None)
    twins, clocks = SimpleNamespace(is_copy=False), SimpleNamespace(source=Source.OWN)
    watch = SimpleNamespace(clocks=clocks, facts=lambda: None, twins=twins)
    assembly = SimpleNamespace(members=founded(), council=SimpleNamespace(digest_of=lambda _: "8" * 32))
    running = cast("Running", SimpleNamespace(ballot=ballot, watch=watch, assembly=assembly))
    for _ in range(2):
        view = view_of(running, context, "formed", None)
        assert view.looked is not None
        assert view.healing == (("data",) if view.looked % 2 else ())
    assert view.looked == Looking.looks > 1
