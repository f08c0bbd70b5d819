"""Keeps the node's status true: one place that knows phase, reason and since when, and publishes each change."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from firstboot import console, paths
from firstboot.context import Context
from firstboot.errors import TrivetError
from firstboot.files import write_atomic
from firstboot.notify import notify
from firstboot.status import NodeStatus, PhaseState, PhaseStatus

log = logging.getLogger(__name__)

FORMED = "formed"
UNCLAIMED = "unclaimed"

Facts = Callable[[], dict[str, object]]
"""Fields of NodeStatus that are read from the system, such as peers and volumes."""


class Reporter:
    """The status of this run of the agent. Safe to call from any thread."""

    def __init__(
        self, phases: Sequence[str], *, now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._monotonic = monotonic
        self._entered_s = monotonic()
        self._facts: Facts = dict
        self._lock = threading.RLock()
        self._context: Context | None = None
        self._phases = {name: PhaseStatus(name=name, state=PhaseState.PENDING) for name in phases}
        self._phase = phases[0]
        self._state = PhaseState.RUNNING
        self._reason = "starting"
        self._hint = ""
        self._since = now()
        self._problems: tuple[str, ...] = ()
        self._system: dict[str, object] = {}
        self._trouble: tuple[str, ...] = ()
        self._line = ""
        self._shown = ""
        self.status = NodeStatus(phase=self._phase, state=self._state, reason=self._reason, since=self._since)

    def attach(self, context: Context) -> None:
        """Take identity and addresses of the context into the status."""
        with self._lock:
            self._context = context

    def read_facts_with(self, facts: Facts) -> None:
        """Where `refresh` takes the system's fields from."""
        self._facts = facts

    def progress(self, text: str) -> None:
        """What the running phase is doing right now; once formed it only goes to the log."""
        log.info("%s: %s", self._phase, text)
        with self._lock:
            if self._phase != FORMED:
                self._set(PhaseState.RUNNING, text)

    def enter(self, phase: str, title: str) -> None:
        with self._lock:
            self._phase, self._entered_s = phase, self._monotonic()
            self._phases[phase] = PhaseStatus(name=phase, state=PhaseState.RUNNING, started=self._now())
            self._set(PhaseState.RUNNING, title)

    def wait(self, reason: str, hint: str) -> None:
        with self._lock:
            self._set(PhaseState.WAITING, reason, hint)

    def fail(self, reason: str, hint: str) -> None:
        with self._lock:
            self._set(PhaseState.FAILED, reason, hint)

    def finish(self, phase: str) -> None:
        """The phase is done; nothing is printed, because the next one enters at once."""
        with self._lock:
            took_s = round(self._monotonic() - self._entered_s, 3)  # the clock may have been set meanwhile
            self._phases[phase] = self._phases[phase].model_copy(
                update={"state": PhaseState.DONE, "duration_s": took_s}
            )

    def form(self, reason: str) -> None:
        """Every phase is done."""
        with self._lock:
            self._phase = FORMED
            self._set(PhaseState.DONE, reason)

    def tick(self, problems: Sequence[str]) -> None:
        """Take the facts again, and what the reconciler found wrong."""
        self.refresh()
        with self._lock:
            self._problems = tuple(problems)
            self.publish()

    def refresh(self) -> None:
        """Take the facts again; asking daemons may last, so nothing is locked meanwhile."""
        try:
            system = self._facts()
            trouble: tuple[str, ...] = ()
        except TrivetError as error:  # a status without fresh facts is better than none
            log.warning("facts of the cluster could not be read: %s", error.message)
            system, trouble = self._system, (f"status: {error.message}",)
        except Exception as error:
            log.exception("facts of the cluster could not be read")
            system, trouble = self._system, (f"status: unexpected {type(error).__name__}: {error}",)
        with self._lock:
            self._system, self._trouble = system, trouble

    def publish(self) -> None:
        """Write the status now, and the console's texts when they differ from the last ones."""
        with self._lock:
            self.status = self._build()
            paths.RUN.mkdir(parents=True, exist_ok=True)
            write_atomic(paths.STATUS, self.status.model_dump_json(indent=1) + "\n")
            message = console.line(self.status)
            if message != self._line:
                self._line = message
                console.say(message)
                notify(f"STATUS={message.removeprefix('trivet: ')}")
            shown = console.text(self.status)
            if shown != self._shown:
                self._shown = shown
                console.show(self.status)

    def _set(self, state: PhaseState, reason: str, hint: str = "") -> None:
        if (state, reason) != (self._state, self._reason):
            self._since = self._now()
        self._state, self._reason, self._hint = state, reason, hint
        if self._phase in self._phases:
            self._phases[self._phase] = self._phases[self._phase].model_copy(update={"state": state})
        self.publish()

    def _build(self) -> NodeStatus:
        context = self._context
        network = [f"network: {fault}" for fault in context.network_faults] if context is not None else []
        fields: dict[str, object] = {}
        if context is not None and context.seed is not None:
            seed = context.seed
            fields = {
                "name": context.slot.name,
                "slot": seed.slot.number,
                "site_id": seed.site.id,
                "site_name": seed.site.name,
            }
        elif self._state is PhaseState.WAITING:
            fields["phase"] = UNCLAIMED
        if context is not None:
            fields["node_id"] = context.node_id
            fields["addresses"] = tuple(dict.fromkeys(a for a in (context.address, context.storage_address) if a))
            fields["networks"], fields["unused_cards"] = context.networks, context.unused_cards
        return NodeStatus.model_validate(
            {
                "phase": self._phase,
                "state": self._state,
                "reason": self._reason,
                "hint": self._hint,
                "since": self._since,
                "phases": tuple(self._phases.values()),
            }
            | self._system
            | {"problems": (*network, *self._problems, *self._trouble)}
            | fields
        )


def utc_now() -> datetime:
    return datetime.now(UTC)
