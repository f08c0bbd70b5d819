"""The doctor's table of contents: what is looked at, in order; all at once, each for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from firstboot.doctor import (
    agent,
    brickdisks,
    closed,
    link,
    members,
    multicast,
    naming,
    pathmtu,
    ports,
    seeds,
    storage,
    timekeeping,
    units,
)
from firstboot.doctor.bounded import Late, Raised, gather
from firstboot.doctor.node import Node, read_node
from firstboot.doctor.report import DoctorReport, Finding, Judgement, Verdict, failed, skipped
from firstboot.errors import TrivetError
from firstboot.runner import BUG_HINT

LIMIT_S = 120.0
"""For all checks, because they run side by side. On a quiet machine the slowest lasts ten seconds; emulated, more."""
READ_LIMIT_S = 30.0

Need = Callable[[Node], str]
"""Why a check has nothing to look at on this node; empty when it has."""


def anything(node: Node) -> str:
    return ""


def a_seed(node: Node) -> str:
    return "" if node.seed is not None else "no seed"


def gluster(node: Node) -> str:
    if node.seed is None:
        return a_seed(node)
    mode = node.seed.plan.mode
    return "" if mode.has_gluster else f"mode {mode.value} has no Gluster"


@dataclass(frozen=True)
class Check:
    """A named look at the node."""

    name: str
    step: Callable[[Node], Iterable[Judgement]]
    needs: Need = anything


CHECKS = (
    Check("agent", agent.check),
    Check("seed", seeds.check),
    Check("clock", timekeeping.check),
    Check("services", units.check),
    Check("ports", ports.check),
    Check("link", link.check, a_seed),
    Check("path MTU", pathmtu.check, a_seed),
    Check("multicast", multicast.check),
    Check("members", members.check, a_seed),
    Check("names", naming.check, a_seed),
    Check("disks", brickdisks.check, gluster),
    Check("certificate", closed.check_certificate, a_seed),
    Check("gluster TLS", closed.check_tls, gluster),
    Check("packet filter", closed.check_filter, gluster),
    Check("gluster", storage.check, gluster),
)


def examine(checks: Sequence[Check] = CHECKS, *, limit_s: float = LIMIT_S) -> DoctorReport:
    """Look at everything; lasts at most `READ_LIMIT_S` and `limit_s` together."""
    began, began_s = datetime.now(UTC), time.monotonic()
    node, findings = _read()
    found: list[list[Judgement]] = [[] for _ in checks]
    tasks = [partial(_collect, check, node, into) for check, into in zip(checks, found, strict=True)]
    results = gather(tasks, limit_s=limit_s, workers=len(tasks))
    for check, into, result in zip(checks, found, results, strict=True):
        # One that hung may go on and find more: what it has found by now is what counts.
        told = [*into, hung(result.limit_s)] if isinstance(result, Late) else into
        findings += [_finding(check.name, judgement) for judgement in told]
    return DoctorReport(
        taken=began,
        duration_s=round(time.monotonic() - began_s, 3),
        ok=all(finding.verdict is not Verdict.FAIL for finding in findings),
        name=node.slot.name if node.seed is not None else None,
        slot=node.slot.number if node.seed is not None else None,
        site_name=node.seed.site.name if node.seed is not None else None,
        findings=tuple(findings),
    )


def look(check: Check, node: Node) -> Iterator[Judgement]:
    """One check's judgements; what it raises after some of them takes none of those back."""
    reason = check.needs(node)
    if reason:
        yield skipped(reason)
        return
    try:
        yield from check.step(node)
    except Exception as error:
        yield of_error(error)


def hung(limit_s: float) -> Judgement:
    return failed(f"gave no answer within {limit_s:g} s", "this machine is overloaded, or what is asked hangs: dmesg")


def of_error(error: Exception) -> Judgement:
    """An error in the check's way: the next step of a TrivetError is its own, anything else is a bug."""
    if isinstance(error, TrivetError):
        return failed(error.message, error.hint)
    return failed(f"unexpected {type(error).__name__}: {error}", BUG_HINT)


def _collect(check: Check, node: Node, into: list[Judgement]) -> None:
    for judgement in look(check, node):
        into.append(judgement)


def _read() -> tuple[Node, list[Finding]]:
    (result,) = gather([read_node], limit_s=READ_LIMIT_S, workers=1)
    if isinstance(result, Late | Raised):
        why = (
            of_error(result.error)
            if isinstance(result, Raised)
            else failed(
                f"{READ_LIMIT_S:g} s were not enough to read the state in /var/lib/trivet",
                "does its disk still answer? dmesg",
            )
        )
        return Node(), [_finding("state", why)]
    return result.value, []


def _finding(check: str, judgement: Judgement) -> Finding:
    return Finding(
        check=check,
        about=judgement.about,
        verdict=judgement.verdict,
        evidence=judgement.evidence,
        hint=judgement.hint,
    )
