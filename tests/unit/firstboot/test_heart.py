"""The agent's heart: alive in a pause and in a command within its limit, dead when they don't end; the watchdog."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from firstboot import notify as notify_module
from firstboot.heart import WORK_S, Heart
from firstboot.notify import feed_interval_s, keep_alive
from firstboot.run import beat_with, run


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_loop_that_beats_is_alive_and_one_that_does_not_is_dead(clock: Clock) -> None:
    heart = Heart(clock)
    for _ in range(10):
        clock.now += WORK_S - 1
        assert heart.is_beating
        heart.beat()
    clock.now += WORK_S + 1
    assert not heart.is_beating
    assert heart.overdue_s == pytest.approx(1)


def test_a_long_command_is_alive_to_its_limit_and_no_longer(clock: Clock) -> None:
    heart = Heart(clock)
    heart.beat(900)
    clock.now += 900 + WORK_S
    assert heart.is_beating
    clock.now += 1
    assert not heart.is_beating


def test_the_next_beat_ends_a_long_limit(clock: Clock) -> None:
    heart = Heart(clock)
    heart.beat(900)
    heart.beat()
    clock.now += WORK_S + 1
    assert not heart.is_beating


def test_only_commands_of_the_loops_own_thread_beat() -> None:
    limits: list[float] = []

    def loop() -> None:
        beat_with(limits.append)
        run(["true"], timeout_s=41)
        other = threading.Thread(target=lambda: run(["true"], timeout_s=42))
        other.start()
        other.join()

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    run(["true"], timeout_s=43)
    assert limits == [41]


@pytest.mark.parametrize(
    ("env", "interval_s"),
    [
        ({"WATCHDOG_USEC": "900000000", "WATCHDOG_PID": "7"}, 225.0),
        ({"WATCHDOG_USEC": "900000000"}, 225.0),
        ({"WATCHDOG_USEC": "900000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_in_time_and_only_ours(env: dict[str, str], interval_s: float | None) -> None:
    assert feed_interval_s(env, 7) == interval_s


def test_a_dead_heart_starves_the_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    class Stop(threading.Event):
        """Counts the rounds of the feeder; after the second the loop is stuck, after the fourth it ends."""

        rounds = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.rounds += 1
            if self.rounds == 3:
                clock.now += WORK_S + 1
            return self.rounds > 4

    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "900000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    errors: list[str] = []
    monkeypatch.setattr(notify_module.log, "error", lambda text, *values: errors.append(text % values))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        keep_alive(Heart(clock), Stop())
        for thread in threading.enumerate():
            if thread.name == "watchdog":
                thread.join(10)
        manager.setblocking(False)
        assert [manager.recv(100), manager.recv(100)] == [b"WATCHDOG=1"] * 2
        with pytest.raises(BlockingIOError):
            manager.recv(100)
    assert len(errors) == 2
    assert "stuck" in errors[0]
