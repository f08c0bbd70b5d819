"""Things done side by side, for a bounded time: one that hangs is given up and holds nothing else up."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Value(Generic[ResultT]):
    """What a task returned."""

    value: ResultT


@dataclass(frozen=True)
class Raised:
    """What a task raised."""

    error: Exception


@dataclass(frozen=True)
class Late:
    """The task was not done at the time limit."""

    limit_s: float


Result = Value[ResultT] | Raised | Late


def gather(tasks: Sequence[Callable[[], ResultT]], *, limit_s: float, workers: int) -> list[Result[ResultT]]:
    """The tasks' results in their order, at the latest after `limit_s`.

    The threads are daemons: one that hangs in the kernel does not keep the program from ending either.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Result[ResultT]]] = queue.SimpleQueue()
    for number in range(len(tasks)):
        waiting.put(number)

    def work() -> None:
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            done.put((number, _attempt(tasks[number])))

    for _ in range(min(workers, len(tasks))):
        threading.Thread(target=work, daemon=True).start()
    results: list[Result[ResultT]] = [Late(limit_s)] * len(tasks)
    deadline = time.monotonic() + limit_s
    for _ in tasks:
        try:
            number, result = done.get(timeout=max(deadline - time.monotonic(), 0.0))
        except queue.Empty:
            break
        results[number] = result
    return results


def _attempt(task: Callable[[], ResultT]) -> Value[ResultT] | Raised:
    try:
        return Value(task())
    except Exception as error:
        return Raised(error)
