"""Runs the ordered phases to their end, whatever it takes, and then keeps checking that they still hold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from firstboot.context import Context
from firstboot.errors import TrivetError
from firstboot.phases import Done, Outcome, Phase, Wait
from firstboot.reporter import Reporter
from firstboot.state import Journal

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 15.0
MIN_WAIT_S = 0.25
MAX_WAIT_S = 2.0
WAIT_SHARE = 20.0
"""Who has waited for long looks less often: after this many times the pause."""
TICK_S = 10.0
MAX_TICK_S = 60.0
REST = 9.0
"""The pause between two checks over what the last one took: a slow machine has other things to do too."""
REST_IN_TROUBLE = 1.0
"""The same while something is wrong: checks that wait for who is gone take long."""
BUG_HINT = "this is a fault of Trivet: please report it with the output of journalctl -u trivet-firstboot"


def pause_s(took_s: float, waited_s: float) -> float:
    """How long to wait before looking again: soon at first, rarer where a look costs or nothing comes. Pure."""
    return min(max(MIN_WAIT_S, 2 * took_s, waited_s / WAIT_SHARE), MAX_WAIT_S)


class Runner:
    """One run of the agent. `pause(s)` sleeps and says whether to stop; an argument, so that tests don't wait.

    `beat(s)` is called at each turn of the loop: it gets on, and is heard of again after a pause of `s` seconds.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        context: Context,
        *,
        reporter: Reporter,
        journal: Journal,
        now: Callable[[], datetime],
        pause: Callable[[float], bool],
        beat: Callable[[float], None],
    ) -> None:
        self._phases = tuple(phases)
        self._context = context
        self._reporter = reporter
        self._journal = journal
        self._now = now
        self._sleep = pause
        self._beat = beat

    def form(self) -> bool:
        """Bring every phase to its end, in order; False when told to stop before that."""
        return all(self._complete(phase) for phase in self._phases)

    def keep(
        self,
        reason: Callable[[Context], str],
        others: Callable[[], list[str]],
        *,
        until: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Check again and again that everything holds; `others` names more problems.

        Ends when told to stop: False; or when `until` says that the phases are to be gone through anew: True.
        """
        self._reporter.refresh()
        self._reporter.form(reason(self._context))
        pause_s = TICK_S
        while not self._pause(pause_s):
            began = self._now()
            problems = self.check() + others()
            self._reporter.tick(problems)
            if until():
                return True
            took_s = (self._now() - began).total_seconds()
            pause_s = min(max(TICK_S, took_s * (REST_IN_TROUBLE if problems else REST)), MAX_TICK_S)
        return False

    def check(self) -> list[str]:
        """Run every step once more; what is not as it should be, one line each."""
        problems = []
        for phase in self._phases:
            outcome = self._attempt(phase)
            if isinstance(outcome, Wait):
                problems.append(f"{phase.name}: {outcome.reason}")
            elif isinstance(outcome, TrivetError):
                problems.append(f"{phase.name}: {outcome.message}")
        return problems

    def _complete(self, phase: Phase) -> bool:
        self._reporter.enter(phase.name, phase.title)
        backoff_s = FIRST_BACKOFF_S
        since, reason = self._now(), ""
        while True:
            began = self._now()
            outcome = self._attempt(phase)
            if isinstance(outcome, Done):
                self._finish(phase, outcome)
                return True
            if isinstance(outcome, Wait):
                self._reporter.wait(outcome.reason, outcome.hint)
                ended = self._now()
                if outcome.reason != reason:
                    since, reason = began, outcome.reason
                chosen_s = pause_s((ended - began).total_seconds(), (ended - since).total_seconds())
                delay_s = chosen_s if outcome.retry_s is None else outcome.retry_s
                backoff_s = FIRST_BACKOFF_S
            else:
                self._reporter.fail(outcome.message, outcome.hint)
                delay_s, backoff_s = backoff_s, min(backoff_s * 2, MAX_BACKOFF_S)
            if self._pause(delay_s):
                return False

    def _attempt(self, phase: Phase) -> Outcome | TrivetError:
        self._beat(0.0)
        try:
            return phase.step(self._context)
        except TrivetError as error:
            log.error("%s: %s", phase.name, error)
            return error
        except Exception as error:
            log.exception("%s: unexpected error", phase.name)
            return TrivetError(f"unexpected {type(error).__name__}: {error}", hint=BUG_HINT)

    def _pause(self, seconds: float) -> bool:
        self._beat(seconds)
        return self._sleep(seconds)

    def _finish(self, phase: Phase, done: Done) -> None:
        self._context.finished.add(phase.name)
        self._journal.finish(phase.name, self._now())
        self._reporter.refresh()
        self._reporter.finish(phase.name)
        log.info("%s: done%s", phase.name, f": {done.detail}" if done.detail else "")
