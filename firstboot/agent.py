"""The agent: one process that forms this machine into a node and keeps it so."""

from __future__ import annotations

import faulthandler
import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firstboot import paths
from firstboot.alarm import Alarm
from firstboot.cluster.membership import Membership
from firstboot.cluster.slotorders import SlotOrders
from firstboot.cluster.without import Without
from firstboot.context import Context
from firstboot.control import ControlServer, Verb
from firstboot.errors import RefusedError
from firstboot.files import sweep
from firstboot.heart import Heart
from firstboot.identity import Identity
from firstboot.notify import keep_alive, notify
from firstboot.reporter import Reporter, utc_now
from firstboot.run import beat_with
from firstboot.runner import Runner
from firstboot.sequence import TITLES, sequence
from firstboot.state import Journal

log = logging.getLogger(__name__)


def serve(given_seed: Path | None) -> None:
    """Run until SIGTERM or SIGINT; raises RefusedError when another agent runs."""
    stop = threading.Event()
    alarm = Alarm(stop)

    def end(*_: object) -> None:
        stop.set()
        alarm.wake()

    faulthandler.enable()  # the watchdog kills with SIGABRT: the journal then says where the loop hung
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    for folder in (paths.STATE, paths.RUN):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone():
        # Not only litter: a seed or a key can be among it. And what is read from now on may be shown to others.
        for path in sweep(paths.WRITTEN):
            log.info("removed %s, left by a write that was cut off", path)
        _run(given_seed, stop, alarm)


def _run(given_seed: Path | None, stop: threading.Event, alarm: Alarm) -> None:
    heart = Heart(time.monotonic)
    beat_with(heart.beat)
    journal = Journal(paths.JOURNAL)
    reporter = Reporter(tuple(TITLES), now=utc_now)
    context = Context(report=reporter.progress)
    reporter.attach(context)
    membership = Membership(journal, status=lambda: reporter.status, clock=time.monotonic, wake=alarm.wake)
    reporter.read_facts_with(lambda: facts(context, membership))
    identity = Identity(journal, given_seed)
    runner = Runner(
        sequence(identity, membership),
        context,
        reporter=reporter,
        journal=journal,
        now=utc_now,
        pause=alarm.pause,
        beat=heart.beat,
    )
    control = ControlServer(paths.CONTROL, _verbs(context, membership))
    control.serve()
    reporter.publish()
    notify("READY=1")
    keep_alive(heart, stop)
    try:
        while runner.form() and runner.keep(
            _summary,
            lambda: identity.problems() + membership.problems(context),
            until=lambda: membership.is_removed,
        ):
            log.warning("this node is no member any more")
    finally:
        notify("STOPPING=1")
        control.close()
        membership.close()
        log.info("the agent stops")


def _verbs(context: Context, membership: Membership) -> dict[str, Verb]:
    """The orders that operators give, by name; docs/formats.md lists them."""
    without = Without(context, lambda: membership.ballot)
    orders = SlotOrders(context, membership)
    return {
        "without-look": without.look,
        "without": without.order,
        "slots": orders.slots,
        "slot-add": orders.add,
        "slot-close": orders.close,
        "vacate-look": orders.look,
        "slot-release": orders.release,
        "remove": orders.remove,
        "renew": lambda _, __: membership.renew(context),
    }


def facts(context: Context, membership: Membership) -> dict[str, object]:
    """What the rooms know of the cluster, as fields of NodeStatus; rooms whose phase is not reached are not asked."""
    fields: dict[str, object] = {}
    if context.seed is None:
        return fields
    fields["peers"] = membership.peers(context)
    members = membership.council.members if membership.council is not None else None
    if members is not None:
        fields |= {"epoch": members.epoch, "closed_slots": members.closed, "removed_nodes": tuple(members.removed)}
    if context.plan.mode.has_gluster and "found" in context.finished:
        from firstboot.gluster import facts as gluster

        fields["peers"] = gluster.peers(context) or fields["peers"]
        fields["volumes"] = gluster.volumes(context)
    if context.plan.domains and "volumes" in context.finished:
        from firstboot.domains import facts as domains

        fields["domains"] = domains.domains(context)
    return fields


def _summary(context: Context) -> str:
    plan = context.plan
    counts = {"node": len(context.members), "volume": len(plan.volumes), "storage domain": len(plan.domains)}
    told = ", ".join(f"{count} {word}{'s' * (count > 1)}" for word, count in counts.items() if count)
    without = "; this node came later, and has no brick of them" if context.slot.later and plan.volumes else ""
    return f"formed: {told}{without}"


@contextmanager
def _alone() -> Iterator[None]:
    handle = os.open(paths.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError("another agent runs on this machine", hint="look at it: trivet-node status") from None
        yield
    finally:
        os.close(handle)


def log_to_journal(level: int) -> None:
    """Log to standard error, with sd-daemon(3) priorities where that is the journal."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Priority("%(name)s: %(message)s") if os.environ.get("JOURNAL_STREAM") else _PLAIN)
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("zeroconf").setLevel(logging.ERROR)  # it warns of every odd packet of strangers


_PLAIN = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


class _Priority(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = 3 if record.levelno >= logging.ERROR else 4 if record.levelno >= logging.WARNING else 6
        level = 7 if record.levelno < logging.INFO else level
        return f"<{level}>" + super().format(record).replace("\n", f"\n<{level}>")
