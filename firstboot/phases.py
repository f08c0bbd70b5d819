"""The ordered phases as data: each looks, compares, acts; done again it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firstboot.context import Context


@dataclass(frozen=True)
class Done:
    """The phase's aim is reached; `detail` is one line for the log."""

    detail: str = ""


@dataclass(frozen=True)
class Wait:
    """The phase can't go on yet: for what, and what would end it.

    It is tried again after `retry_s`; the runner chooses when it is None.
    """

    reason: str
    hint: str = ""
    retry_s: float | None = None


Outcome = Done | Wait


@dataclass(frozen=True)
class Phase:
    """A named step. `step` raises TrivetError when it failed; it is tried again, with the error as the reason."""

    name: str
    title: str
    step: Callable[[Context], Outcome]
