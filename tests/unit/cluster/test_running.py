"""How often nodes visit each other, and when what others show is news."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from firstboot.cluster.changes import RemoveNode
from firstboot.cluster.exchange import FORMING_S, KEEPING_S
from firstboot.cluster.members import Members
from firstboot.cluster.running import Running, pace
from firstboot.cluster.views import View
from firstboot.context import Context
from tests.unit.cluster.documents import founded, node, seed


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
