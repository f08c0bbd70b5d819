"""`trivet-node slot`, `remove` and `renew` as people and programs call them; the agent's answers are given."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping

import pytest

from firstboot import control
from firstboot.cli import execute
from firstboot.cluster.slotreport import SlotsReport, VacateReport, VolumeLoss, report
from firstboot.errors import Exit, RefusedError
from tests.unit.cluster.documents import founded, node

LOSS = VolumeLoss(name="data", text="volume data keeps 2 of 3 copies", possible=True)


def slots(trouble: str | None = None) -> SlotsReport:
    return report(
        founded(3, without=(3,)), own_id=node(1), answering={2}, addresses={1: "192.0.2.1"}, trouble=trouble
    )


class FakeAgent:
    """Notes the orders, and answers them."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, dict[str, object]]] = []
        self.node_id: str | None = node(1)
        self.trouble: str | None = None
        self.interrupted = False

    def order(
        self, path: object, verb: str, arguments: Mapping[str, object], progress: Callable[[str], None]
    ) -> dict[str, object]:
        if self.interrupted:
            raise KeyboardInterrupt
        self.orders.append((verb, dict(arguments)))
        if verb == "renew":
            return {"serial": "1f", "authority": "a" * 32, "not_after": "2028-01-01T00:00:00Z", "node_id": node(1)}
        if verb != "vacate-look":
            return slots(self.trouble).model_dump(mode="json")
        looked = VacateReport(slot=1, name="node1", node_id=self.node_id, answers=True, members=3, volumes=(LOSS,))
        return looked.model_dump(mode="json")

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.orders]


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> FakeAgent:
    fake = FakeAgent()
    monkeypatch.setattr(control, "order", fake.order)
    return fake


def test_the_table_of_slots(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["slot", "list"]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1 of cluster 777777777777",
        "SLOT  NAME   STATE   NODE          ADDRESS    ANSWERS",
        "1     node1  member  000000000000  192.0.2.1  yes",
        "2     node2  member  000000000000  -          yes",
        "3     node3  open    -             -          -",
    ]
    agent.trouble = "1 of 2 members answered"
    assert execute(["slot", "list", "--json"]) == Exit.WAITING
    told = capsys.readouterr()
    assert json.loads(told.out)["confirmed"] is False
    assert "there may be a later epoch: 1 of 2 members answered" in told.err


def test_orders_and_their_arguments(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    execute(["slot", "add", "4", "node4", "--zone", "b"])
    execute(["slot", "close", "3"])
    execute(["slot", "release", "3", "--yes", "--seed", "5" * 32])
    execute(["remove", "node1", "--yes"])
    execute(["renew"])
    assert agent.orders == [
        ("slot-add", {"number": 4, "name": "node4", "seed": None, "zone": "b", "address": None}),
        ("slot-close", {"slot": "3"}),
        ("slot-release", {"slot": "3", "seed": "5" * 32, "node_id": None}),
        ("remove", {"slot": "node1", "node_id": None}),
        ("renew", {}),
    ]
    assert "certificate 1f of authority aaaaaaaaaaaa, until 2028-01-01" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["remove", "1"], ["slot", "release", "1"]])
def test_who_holds_a_slot_is_removed_only_when_that_is_confirmed(
    words: list[str], agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    with pytest.raises(RefusedError, match="not confirmed"):
        execute(words)
    said = capsys.readouterr().err
    assert "answers: it is alive" in said
    assert "volume data keeps 2 of 3 copies" in said
    assert "2 of 3 members are left" in said
    assert agent.verbs == ["vacate-look"]
    monkeypatch.setattr("sys.stdin", io.StringIO("node1\n"))
    assert execute(words) == Exit.OK
    assert len(agent.verbs) == 3
    assert agent.orders[-1][1]["node_id"] == node(1), "the one that was shown"


def test_a_slot_that_nobody_holds_is_released_without_a_question(agent: FakeAgent) -> None:
    agent.node_id = None
    assert execute(["slot", "release", "3"]) == Exit.OK
    assert agent.verbs == ["vacate-look", "slot-release"]
    assert agent.orders[-1][1]["node_id"] == "", "nobody: who came meanwhile is not removed"


def test_who_does_not_wait_is_told_where_to_look(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        execute(["remove", "1", "--yes"])
    assert "trivet-node slot list" in capsys.readouterr().err
