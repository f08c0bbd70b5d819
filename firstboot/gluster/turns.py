"""Several things that are each to have a turn: what they wait for is told together, once all had it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from firstboot.errors import TrivetError
from firstboot.phases import Done, Outcome, Wait

log = logging.getLogger(__name__)


class Turns:
    """What came of the turns so far."""

    def __init__(self) -> None:
        self._waits: list[Wait] = []
        self._errors: dict[str, TrivetError] = {}
        self._details: list[str] = []

    def take(self, step: Callable[[], Outcome]) -> None:
        """Let one have its turn; what it waits for, or failed with, is kept for `outcome`."""
        try:
            came = step()
        except TrivetError as error:
            self._errors.setdefault(str(error), error)
            return
        if isinstance(came, Wait):
            self._waits.append(came)
        elif came.detail:
            self._details.append(came.detail)

    def outcome(self) -> Outcome:
        """One outcome of all of them, with every reason; raises the first error, and logs what it hides."""
        errors = list(self._errors.values())
        if errors:
            for hidden in [*errors[1:], *(wait.reason for wait in self._waits)]:
                log.error("%s", hidden)
            raise errors[0]
        return joined(self._waits) or Done("; ".join(self._details))


def joined(waits: list[Wait]) -> Wait | None:
    """One wait for all of them, tried again as soon as any of them is; None when there is none. Pure."""
    if not waits:
        return None
    pauses = [wait.retry_s for wait in waits if wait.retry_s is not None]
    return Wait(
        "; ".join(dict.fromkeys(wait.reason for wait in waits)),
        "; ".join(dict.fromkeys(wait.hint for wait in waits if wait.hint)),
        retry_s=min(pauses) if len(pauses) == len(waits) else None,
    )
