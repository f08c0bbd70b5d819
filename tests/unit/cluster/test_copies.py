"""Two machines with one node's key: the one that was known first is the node, the other one stays out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from firstboot.cluster.copies import ANOTHER_AFTER_S, Machine, Standing, sort, standing
from firstboot.cluster.events import Endpoint, Identity, Visit
from firstboot.cluster.likeness import Facts
from firstboot.cluster.twins import TWIN_AGE_S, Twins
from firstboot.cluster.views import Known, View
from firstboot.errors import TrivetError

NAMES = {1: "node1", 2: "node2", 3: "node3"}
ME, NODE, OTHER = "1" * 32, "2" * 32, "3" * 32
HOME, AWAY = "192.0.2.2", "192.0.2.77"
FIRST, SECOND, THIRD = "a" * 32, "b" * 32, "c" * 32


def visit(
    node: str = NODE,
    run: str = FIRST,
    address: str = "",
    *,
    mac: str = "",
    is_copy: bool = False,
    you: Known | None = None,
) -> Visit:
    slot = int(node[0])
    facts = Facts(macs=(mac * 32,)) if mac else None
    view = View(
        node_id=node, slot=slot, seed_id="5" * 32, phase="admit", run=run, facts=facts, is_copy=is_copy, you=you
    )
    return Visit(Endpoint(address or f"192.0.2.{slot}", 7463), slot, view)


@dataclass
class Seen:
    """What node 1 knows, round by round."""

    nodes: dict[str, Machine] = field(default_factory=dict)
    remembered: dict[str, str] = field(default_factory=dict)
    now_s: float = 0.0

    def round(self, *visits: Visit) -> set[int]:
        found = sort(visits, self.nodes, self.remembered, ME, FIRST, self.now_s)
        self.nodes = dict(found.nodes)
        assert len(found.twins) + len(found.believed) == len(visits)
        return set(found.believed)


def test_a_machine_that_answers_stays_the_node() -> None:
    seen = Seen()
    assert seen.round(visit()) == {0}
    assert seen.round(visit(run=SECOND, address=AWAY), visit()) == {1}
    assert seen.round(visit(), visit(address="2001:db8::2")) == {0, 1}, "two addresses of one run"
    assert seen.round(visit(), visit(OTHER, SECOND)) == {0, 1}, "another node is no copy"


def test_a_restart_of_the_same_machine_is_followed_at_once_also_at_another_address() -> None:
    seen = Seen()
    seen.round(visit(mac="7"))
    assert seen.round(visit(run=SECOND, address=AWAY, mac="7")) == {0}
    assert seen.round(visit(run=THIRD)) == {0}, "hardware that says nothing of itself is believed"


def test_another_machine_is_followed_only_after_a_long_silence() -> None:
    seen = Seen()
    seen.round(visit(mac="7"))
    seen.now_s = ANOTHER_AFTER_S - 1.0
    assert seen.round(visit(run=SECOND, address=AWAY, mac="8")) == set()
    seen.now_s = ANOTHER_AFTER_S
    assert seen.round(visit(run=SECOND, address=AWAY, mac="8")) == {0}
    assert seen.round(visit(mac="7"), visit(run=SECOND, address=AWAY, mac="8")) == {1}, "now it is the incumbent"


def test_a_known_copy_is_never_believed() -> None:
    seen = Seen()
    assert seen.round(visit(is_copy=True)) == set()
    seen.now_s = 10 * ANOTHER_AFTER_S
    assert seen.round(visit(is_copy=True), visit(run=SECOND, address=AWAY)) == {1}


def test_after_a_start_the_remembered_address_decides() -> None:
    seen = Seen(remembered={NODE: HOME})
    assert seen.round(visit(run=SECOND, address=AWAY), visit()) == {1}
    assert Seen(remembered={NODE: HOME}).round(visit(run=SECOND, address=AWAY)) == {0}, "nobody else answers"


@pytest.mark.parametrize(
    ("runs", "address", "remembered", "result"),
    [
        ([FIRST, FIRST], HOME, "", Standing.NODE),
        ([SECOND, None], HOME, HOME, Standing.COPY),
        ([FIRST, SECOND], HOME, HOME, Standing.NODE),
        ([FIRST, SECOND], HOME, AWAY, Standing.COPY),
        ([], HOME, HOME, Standing.NODE),
        ([THIRD, None], HOME, "", Standing.OPEN),
        ([], HOME, "192.0.2.99", Standing.OPEN),
    ],
)
def test_which_is_the_node_and_both_come_to_the_same(
    runs: list[str | None], address: str, remembered: str, result: Standing
) -> None:
    own, twin = visit(run=FIRST, address=HOME), visit(run=SECOND, address=AWAY)
    assert standing(FIRST, Machine(twin.view, AWAY, 0.0), runs, address, remembered) is result  # type: ignore[arg-type]
    opposite = {Standing.NODE: Standing.COPY, Standing.COPY: Standing.NODE, Standing.OPEN: Standing.OPEN}
    found = standing(SECOND, Machine(own.view, HOME, 0.0), runs, AWAY, remembered)  # type: ignore[arg-type]
    assert found is opposite[result]


@dataclass
class Clock:
    now_s: float = 0.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


def twins(folder: Path, clock: Clock, address: str = AWAY, remembered: dict[str, str] | None = None) -> Twins:
    """Node 2 started from a copied disk: run b, elsewhere."""
    return Twins(
        Identity(2, NODE, "5" * 32, NAMES, SECOND),
        remembered or {},
        own_address=lambda: address,
        monotonic=lambda: clock.now_s,
        path=folder / "copy.json",
    )


def go_round(known: Twins, *visits: Visit) -> frozenset[int]:
    return known.sort([each.endpoint.address for each in visits], visits)


def test_a_copy_stays_out_and_remembers_it(tmp_path: Path, clock: Clock) -> None:
    copy = twins(tmp_path, clock)
    said = copy.step()
    assert said is not None
    assert said.reason == "asking the members once before going on"
    assert go_round(copy, visit(ME, you=Known(run=FIRST, address=HOME))) == {0}
    assert copy.suspects == {HOME}
    said = copy.step()
    assert said is not None
    assert said.reason == f"another machine, at {HOME}, may run as this very node: looking there"
    assert go_round(copy, visit(ME, you=Known(run=FIRST, address=HOME)), visit()) == {0, 1}
    said = copy.step()
    assert said is not None
    assert f"a copy of this machine (node2, node {NODE[:12]}) runs at {HOME}" in said.reason
    assert "copy.json" in said.hint
    assert copy.is_copy
    again = twins(tmp_path, clock)
    assert again.is_copy
    assert again.step() is not None
    other = Twins(
        Identity(3, OTHER, "5" * 32, NAMES, SECOND),
        {},
        own_address=lambda: AWAY,
        monotonic=lambda: 0.0,
        path=tmp_path / "copy.json",
    )
    assert not other.is_copy, "a wiped machine has another key: the record is not its own"


def test_the_incumbent_goes_on_and_names_the_copy(tmp_path: Path, clock: Clock) -> None:
    node = twins(tmp_path, clock, address=HOME)
    copy = visit(run=FIRST, address=AWAY)
    met = go_round(node, visit(ME, you=Known(run=SECOND, address=HOME)), copy)
    assert met == {0}, "the core is told nothing of it"
    assert node.step() is None
    assert node.problems == (f"a copy of this machine runs at {AWAY}: node {NODE[:12]}",)
    go_round(node, visit(ME), visit(run=FIRST, address=AWAY, is_copy=True))
    assert node.problems == (f"a copy of this machine stays out at {AWAY}: node {NODE[:12]}",)
    clock.now_s = TWIN_AGE_S + 1.0
    go_round(node, visit(ME))
    assert node.problems == ()


def test_where_nobody_knows_who_was_first_both_wait(tmp_path: Path, clock: Clock) -> None:
    one = twins(tmp_path, clock)
    assert go_round(one, visit()) == {0}, "the core must vote for nothing more"
    said = one.step()
    assert said is not None
    assert "nobody knows which of the two was first" in said.reason
    assert not one.is_copy


def test_the_remembered_address_is_looked_at_before_going_on(tmp_path: Path, clock: Clock) -> None:
    moved = twins(tmp_path, clock, remembered={NODE: HOME})
    assert moved.suspects == {HOME}
    go_round(moved, visit(ME))
    assert moved.step() is not None
    assert moved.sort([HOME], [None]) == frozenset()
    assert moved.step() is None, "nobody is there: the disk was moved, or the address is another one now"
    home = twins(tmp_path, clock, address=HOME, remembered={NODE: HOME})
    assert home.suspects == frozenset()


def test_one_that_the_others_take_another_machine_for_waits_until_they_take_it(tmp_path: Path, clock: Clock) -> None:
    moved = twins(tmp_path, clock)
    for _ in range(2):
        go_round(moved, visit(ME, you=Known(run=FIRST, address=HOME)))
        assert moved.step() is not None, "it may be a lost packet that nobody was seen there"
    go_round(moved, visit(ME, you=Known(run=SECOND, address=AWAY)))
    assert moved.step() is None
    restarted = twins(tmp_path, clock, address=HOME)
    go_round(restarted, visit(ME, you=Known(run=FIRST, address=HOME)))
    assert restarted.step() is None, "that was this machine, before it was restarted"


def test_others_tell_a_node_what_they_know_of_it(tmp_path: Path, clock: Clock) -> None:
    known = twins(tmp_path, clock)
    assert known.known(OTHER) is None
    assert known.believes(visit(OTHER, THIRD, HOME))
    assert known.known(OTHER) == Known(run=THIRD, address=HOME)
    assert not known.believes(visit(OTHER, FIRST, AWAY)), "it is compared with the whole round"
    assert not known.believes(visit()), "nor is one that runs as this node"


def test_a_damaged_record_is_not_taken_for_none(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "copy.json").write_text("{")
    with pytest.raises(TrivetError, match="damaged"):
        twins(tmp_path, clock)
