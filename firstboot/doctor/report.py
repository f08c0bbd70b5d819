"""What the doctor found: judgements in the checks, the document that is printed; format trivet-doctor 1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from firstboot.model import Model


class Verdict(StrEnum):
    """How something is; `not-applicable` where this node has, or has come to, nothing of the kind."""

    PASS = "pass"  # noqa: S105  (a verdict)
    WARN = "warn"
    FAIL = "fail"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True)
class Judgement:
    """One thing that was looked at: what was measured, and what to do next unless it is well."""

    verdict: Verdict
    evidence: str
    hint: str = ""
    about: str = ""


def passed(evidence: str, *, about: str = "") -> Judgement:
    return Judgement(Verdict.PASS, evidence, about=about)


def warned(evidence: str, hint: str, *, about: str = "") -> Judgement:
    return Judgement(Verdict.WARN, evidence, hint, about)


def failed(evidence: str, hint: str, *, about: str = "") -> Judgement:
    return Judgement(Verdict.FAIL, evidence, hint, about)


def skipped(reason: str, *, about: str = "") -> Judgement:
    return Judgement(Verdict.NOT_APPLICABLE, reason, about=about)


class Finding(Model):
    """One judgement: of which check, about which part or neighbour of the node (empty: the check's only subject)."""

    check: str
    about: str = ""
    verdict: Verdict
    evidence: str
    hint: str = ""


class DoctorReport(Model):
    """Every finding in the order of the checks. `ok`: nothing failed. The name and slot are those of the seed."""

    format: Literal["trivet-doctor"] = "trivet-doctor"
    version: str = "1.0"
    taken: datetime
    duration_s: float
    ok: bool
    name: str | None = None
    slot: int | None = None
    site_name: str | None = None
    findings: tuple[Finding, ...]
