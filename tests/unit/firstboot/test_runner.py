"""The runner: waits, failures with growing backoff, stop, and the checks afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from firstboot import paths
from firstboot.context import Context
from firstboot.errors import TrivetError
from firstboot.phases import Done, Outcome, Phase, Wait
from firstboot.reporter import Reporter, utc_now
from firstboot.runner import MAX_BACKOFF_S, MAX_WAIT_S, MIN_WAIT_S, Runner, pause_s
from firstboot.state import Journal


class Bench:
    """A runner over steps that play a script; every pause is noted, none is slept."""

    def __init__(self, folder: Path, scripts: dict[str, list[Outcome | Exception]], stop_after: int = 1000) -> None:
        self.pauses: list[float] = []
        self.beats: list[float] = []
        self.seen: list[tuple[str, str, str]] = []
        self.calls: list[str] = []
        self._left = stop_after
        self.journal = Journal(folder / "journal.json")
        self.reporter = Reporter(tuple(scripts), now=utc_now)
        self.context = Context(report=self.reporter.progress)
        self.reporter.attach(self.context)
        phases = [Phase(name, f"title of {name}", self._step(name, script)) for name, script in scripts.items()]
        self.runner = Runner(
            phases,
            self.context,
            reporter=self.reporter,
            journal=self.journal,
            now=utc_now,
            pause=self._pause,
            beat=self.beats.append,
        )

    def _step(self, name: str, script: list[Outcome | Exception]) -> Callable[[Context], Outcome]:
        def step(context: Context) -> Outcome:
            self.calls.append(name)
            move = script.pop(0) if len(script) > 1 else script[0]
            if isinstance(move, Exception):
                raise move
            return move

        return step

    def _pause(self, seconds: float) -> bool:
        status = self.reporter.status
        self.seen.append((status.phase, status.state.value, status.reason))
        self.pauses.append(seconds)
        self._left -= 1
        return self._left < 0


@pytest.fixture(autouse=True)
def _run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")
    monkeypatch.setattr(paths, "STATUS", tmp_path / "run/status.json")
    monkeypatch.setattr(paths, "MOTD", tmp_path / "run/motd")
    monkeypatch.setattr(paths, "ISSUE", tmp_path / "run/issue")
    monkeypatch.setattr("firstboot.console.say", print)
    monkeypatch.setattr("firstboot.console.run", lambda *_, **__: None)


@pytest.mark.parametrize(
    ("took_s", "waited_s", "expected"),
    [(0.0, 0.0, MIN_WAIT_S), (0.4, 0.0, 0.8), (9.0, 0.0, MAX_WAIT_S), (0.01, 20.0, 1.0), (0.01, 3600.0, MAX_WAIT_S)],
)
def test_a_wait_looks_soon_at_first_and_spares_a_slow_machine(
    took_s: float, waited_s: float, expected: float
) -> None:
    assert pause_s(took_s, waited_s) == expected


def test_phases_run_in_order_and_are_journaled(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"one": [Done()], "two": [Done("detail")]})
    assert bench.runner.form()
    assert bench.calls == ["one", "two"]
    assert list(bench.journal.document.phases) == ["one", "two"]
    assert bench.context.finished == {"one", "two"}
    assert bench.pauses == []


def test_a_wait_is_tried_again_and_says_why(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"one": [Wait("for tea", "boil water", 3.0), Done()]})
    assert bench.runner.form()
    assert bench.pauses == [3.0]
    assert bench.seen == [("unclaimed", "waiting", "for tea")]


def test_failures_back_off_up_to_a_limit(tmp_path: Path) -> None:
    error = TrivetError("no luck", hint="try harder")
    bench = Bench(tmp_path, {"one": [error] * 7 + [Done()]})
    assert bench.runner.form()
    assert bench.pauses == [1.0, 2.0, 4.0, 8.0, MAX_BACKOFF_S, MAX_BACKOFF_S, MAX_BACKOFF_S]
    assert set(bench.seen) == {("one", "failed", "no luck")}


def test_a_bug_is_reported_and_does_not_end_the_agent(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"one": [ValueError("oops"), Done()]})
    assert bench.runner.form()
    assert bench.seen == [("one", "failed", "unexpected ValueError: oops")]


def test_it_stops_when_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"one": [Wait("for ever")], "two": [Done()]}, stop_after=2)
    assert not bench.runner.form()
    assert bench.calls == ["one", "one", "one"]


def test_formed_nodes_are_checked_and_problems_are_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"one": [Done()], "two": [Done(), Wait("gone"), TrivetError("broken")]}, stop_after=2)
    assert bench.runner.form()
    bench.runner.keep(lambda _: "formed: 1 node", lambda: ["a rival"])
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["phase"], status["state"], status["reason"]) == ("formed", "done", "formed: 1 node")
    assert status["problems"] == ["two: broken", "a rival"]


def test_a_second_run_after_a_crash_looks_again(tmp_path: Path) -> None:
    Bench(tmp_path, {"one": [Done()], "two": [Wait("power cut")]}, stop_after=0).runner.form()
    again = Bench(tmp_path, {"one": [Done()], "two": [Done()]})
    assert again.runner.form()
    assert again.calls == ["one", "two"]


def test_every_turn_and_every_pause_is_a_beat(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"one": [Wait("for tea", "", 3.0), Done()], "two": [Done()]}, stop_after=2)
    assert bench.runner.form()
    assert bench.beats == [0.0, 3.0, 0.0, 0.0]
    bench.beats.clear()
    bench.runner.keep(lambda _: "formed", list)
    assert bench.beats == [bench.pauses[1], 0.0, 0.0, bench.pauses[2]]


def test_the_phases_are_gone_through_anew_when_it_is_time_to(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"one": [Done()]}, stop_after=5)
    assert bench.runner.form()
    assert bench.runner.keep(lambda _: "formed", list, until=lambda: len(bench.pauses) == 2)
    assert len(bench.pauses) == 2
    assert not bench.runner.keep(lambda _: "formed", list), "it was told to stop"
