"""Pauses end early when something happens, and at once when it is time to stop."""

from __future__ import annotations

import threading

from firstboot.alarm import Alarm

LONG_S = 3600.0


def test_a_pause_lasts_its_time() -> None:
    assert not Alarm(threading.Event()).pause(0.001)


def test_an_event_ends_one_pause() -> None:
    alarm = Alarm(threading.Event())
    alarm.wake()
    assert not alarm.pause(LONG_S)
    assert not alarm.pause(0.001)


def test_a_stop_ends_every_pause() -> None:
    stop = threading.Event()
    alarm = Alarm(stop)
    stop.set()
    alarm.wake()
    assert alarm.pause(LONG_S)
    assert alarm.pause(LONG_S)
