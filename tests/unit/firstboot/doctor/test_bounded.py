"""Tasks side by side: results in order, errors kept, hung ones given up."""

from __future__ import annotations

import threading
import time

from firstboot.doctor.bounded import Late, Raised, Value, gather


def test_results_are_in_order_whoever_is_first() -> None:
    first_done = threading.Event()

    def slow() -> str:
        assert first_done.wait(30)
        return "slow"

    def quick() -> str:
        first_done.set()
        return "quick"

    assert gather([slow, quick], limit_s=60, workers=2) == [Value("slow"), Value("quick")]


def test_one_that_hangs_is_late_and_the_others_are_not() -> None:
    release = threading.Event()

    def hang() -> int:
        release.wait(60)
        return 1

    def fail() -> int:
        raise ValueError("odd")

    began = time.monotonic()
    try:
        late, raised, value = gather([hang, fail, lambda: 3], limit_s=0.5, workers=3)
    finally:
        release.set()
    assert late == Late(0.5)
    assert isinstance(raised, Raised)
    assert str(raised.error) == "odd"
    assert value == Value(3)
    assert time.monotonic() - began < 30


def test_more_tasks_than_workers_are_all_done() -> None:
    guard, running, most = threading.Lock(), 0, 0

    def task(number: int) -> int:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with guard:
            running -= 1
        return number

    tasks = [lambda n=n: task(n) for n in range(20)]
    assert gather(tasks, limit_s=60, workers=3) == [Value(n) for n in range(20)]
    assert most <= 3


def test_no_tasks() -> None:
    assert gather([], limit_s=1, workers=4) == []
