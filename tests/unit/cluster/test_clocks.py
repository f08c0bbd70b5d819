"""When this node's clock is set, why a site waits for clocks, and to whom nothing is issued."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firstboot import clock
from firstboot.cluster.clocks import AGAIN_S, MAX_AGE_S, Clocks, Reading, reading
from firstboot.cluster.skew import Source
from firstboot.cluster.views import View
from firstboot.phases import Wait

NAMES = {1: "node1", 2: "node2", 3: "node3"}
NOON_S = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400.0


@dataclass
class World:
    """Node 1 among others, with clocks that are numbers."""

    folder: Path
    wall_s: float = NOON_S
    now_s: float = 1000.0
    server: bool = False
    sticks: bool = True
    asked: tuple[int, ...] = (1, 2, 3)
    moves: list[float] = field(default_factory=list)
    views: dict[int, View] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clocks = Clocks(
            1,
            NAMES,
            lambda: self.asked,
            follows_server=lambda: self.server,
            monotonic=lambda: self.now_s,
            wall=lambda: self.wall_s,
            move=self.move,
            agreed=self.folder / "clock-agreed",
        )
        self.views[1] = view(1)

    def move(self, by_s: float) -> None:
        self.moves.append(by_s)
        self.wall_s += by_s if self.sticks else 0.0

    def hear(self, slot: int, shown_s: float, source: Source = Source.OWN, *, run: str = "") -> None:
        """A member is visited, and its clock shows this."""
        self.views[slot] = view(slot, source, run)
        self.clocks.hear(self.views[slot], Reading(shown_s, self.now_s, 0.5))

    def step(self, *, forming: bool = True) -> Wait | None:
        return self.clocks.step(self.views, forming=forming, report=self.reported.append)

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.wall_s += seconds


def view(slot: int, source: Source = Source.OWN, run: str = "") -> View:
    return View(
        node_id=f"{slot:032x}", slot=slot, seed_id="5" * 32, phase="admit", run=run or str(slot) * 32, clock=source
    )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(clock, "raise_to_floor", lambda: False)
    return World(tmp_path)


def test_an_http_date_is_read_with_its_error() -> None:
    date = datetime.fromtimestamp(NOON_S, UTC)
    assert reading(date, 10.0, 12.0) == Reading(NOON_S + 0.5, 11.0, 1.5)
    assert reading(None, 10.0, 12.0) is None


def test_the_odd_one_out_sets_itself_and_goes_on(world: World) -> None:
    world.hear(2, NOON_S - DAY_S)
    world.hear(3, NOON_S - DAY_S + 1.0)
    said = world.step()
    assert said is not None
    assert said.reason == "the clock was set 23 h 59 min back, to the time of the members"
    assert world.moves == [1.0 - DAY_S]
    assert world.step() is None
    assert world.clocks.source is Source.MEMBERS
    assert world.reported == ["setting the clock 23 h 59 min back, to the time of the members"]


def test_the_others_wait_for_the_odd_one_by_name(world: World) -> None:
    world.hear(2, NOON_S)
    world.hear(3, NOON_S + DAY_S + 121.0)
    said = world.step()
    assert said is not None
    assert said.reason == "the clock of node3 is 1 d 2 min ahead of the others'"
    assert said.hint
    assert world.moves == []
    assert world.clocks.problems == ("clock: the clock of node3 is 1 d 2 min ahead of the others'",)
    world.pass_time(2.0)
    world.hear(3, world.wall_s)
    assert world.step() is None
    assert world.clocks.problems == ()


def test_nothing_is_issued_to_or_by_a_clock_that_is_far_off(world: World) -> None:
    world.hear(2, NOON_S)
    world.hear(3, NOON_S - DAY_S)
    assert world.clocks.refusal(world.views, 3) == "the clock of node3 is 1 d behind the others'"
    assert world.clocks.refusal(world.views, 2) == ""
    world.wall_s += 10 * DAY_S
    assert "the clock of node1 is 10 d" in world.clocks.refusal(world.views, 2)
    assert world.clocks.refusal({1: world.views[1]}, 2) == "the time of node2 is not known here yet"


def test_a_small_skew_is_named_but_stops_nobody(world: World) -> None:
    world.hear(2, NOON_S)
    world.hear(3, NOON_S + 60.0)
    assert world.step() is None
    assert world.clocks.problems == ("clock: the clock of node3 is 59 s ahead of the others'",)
    assert world.clocks.refusal(world.views, 3) == ""


def test_a_site_that_forms_waits_until_all_clocks_are_known(world: World) -> None:
    world.hear(2, NOON_S + DAY_S)
    said = world.step()
    assert said is not None
    assert said.reason == "the time of node3 is not known here yet"
    assert world.moves == []
    assert world.step(forming=False) is None, "a formed one comes up with whom there is"


def test_whom_an_operator_left_out_is_not_waited_for(world: World) -> None:
    world.asked = (1, 2)
    world.hear(2, NOON_S + DAY_S)
    world.step()
    assert world.moves == [DAY_S]


def test_who_follows_a_time_server_is_never_moved_and_moves_the_others(world: World) -> None:
    world.server = True
    world.hear(2, NOON_S - DAY_S)
    world.hear(3, NOON_S - DAY_S)
    said = world.step()
    assert said is not None
    assert "the clock of node2 is 1 d behind that of node1, which follows a time server" in said.reason
    assert (world.moves, world.clocks.source) == ([], Source.SERVER)


def test_one_that_comes_back_takes_the_time_of_those_that_are_up(world: World) -> None:
    world.hear(2, NOON_S - DAY_S, Source.MEMBERS)
    assert world.step(forming=False) is None
    assert world.moves == [0.0 - DAY_S]


def test_one_that_is_up_does_not_take_the_time_of_one_that_comes_back(world: World) -> None:
    world.hear(2, NOON_S)
    world.hear(3, NOON_S)
    world.step()
    world.hear(2, NOON_S + DAY_S)
    world.hear(3, NOON_S + DAY_S)
    assert world.step(forming=False) is None
    assert world.moves == []
    assert len(world.clocks.problems) == 2


def test_a_setting_that_does_not_take_is_not_tried_in_every_round(world: World) -> None:
    world.sticks = False
    world.hear(2, NOON_S + DAY_S)
    world.hear(3, NOON_S + DAY_S)
    world.step()
    said = world.step()
    assert said is not None
    assert said.reason == "the clock of node1 is 1 d behind the others'"
    assert len(world.moves) == 1
    world.pass_time(AGAIN_S)
    world.step()
    assert len(world.moves) == 2


def test_old_readings_and_those_of_another_run_say_nothing(world: World) -> None:
    world.hear(2, NOON_S)
    world.hear(3, NOON_S)
    assert world.step() is None
    world.views[3] = view(3, run="9" * 32)
    assert world.clocks.refusal(world.views, 3) == "the time of node3 is not known here yet"
    world.pass_time(MAX_AGE_S + 1.0)
    assert world.clocks.refusal(world.views, 2) == "the time of node2 is not known here yet"


def test_who_says_that_it_is_a_members_run_is_not_taken_for_it(world: World) -> None:
    world.hear(2, NOON_S)
    world.hear(3, NOON_S)
    for slot in (2, 3):
        claimant = world.views[slot].model_copy(update={"node_id": f"{900 + slot:032x}"})
        world.clocks.hear(claimant, Reading(NOON_S + DAY_S, world.now_s, 0.5))
    assert world.step() is None
    assert world.moves == []
    assert world.clocks.refusal(world.views, 2) == ""


def test_the_clock_is_never_set_below_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(clock, "run", lambda argv, **_: ran.append(argv))
    monkeypatch.setattr(clock, "build_stamp", lambda: {"epoch": NOON_S})
    monkeypatch.setattr(clock.time, "time", lambda: NOON_S + 10.0)
    clock.move(-DAY_S)
    clock.move(DAY_S)
    assert not clock.raise_to_floor()
    monkeypatch.setattr(clock.time, "time", lambda: 5.0)
    assert clock.raise_to_floor()
    settings = [argv[-1] for argv in ran]
    assert settings == [f"--set=@{NOON_S:.3f}", f"--set=@{NOON_S + 10.0 + DAY_S:.3f}", f"--set=@{NOON_S:.3f}"]
