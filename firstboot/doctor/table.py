"""The report as a table for people."""

from __future__ import annotations

import textwrap
from collections import Counter

from firstboot.doctor.report import DoctorReport, Finding, Verdict
from firstboot.statustable import columns

WIDTH = 118
WORDS = {
    Verdict.PASS: "pass",
    Verdict.WARN: "WARN",
    Verdict.FAIL: "FAIL",
    Verdict.NOT_APPLICABLE: "-",
}


def render(report: DoctorReport) -> str:
    """The lines that `trivet-node doctor` prints; the next step is under what needs one."""
    who = f"{report.name} (slot {report.slot} of site {report.site_name})" if report.name else "unclaimed"
    marks = [[WORDS[f.verdict], _subject(f)] for f in report.findings]
    left = columns(["RESULT", "CHECK"], marks)
    indent = max(len(line) for line in left) + 2
    lines = [f"node  {who}", "", f"{left[0].ljust(indent)}MEASURED"]
    for start, finding in zip(left[1:], report.findings, strict=True):
        lines += _entry(start.ljust(indent), finding, indent)
    return "\n".join([*lines, "", _sum(report)])


def _entry(start: str, finding: Finding, indent: int) -> list[str]:
    evidence = (
        f"not applicable: {finding.evidence}" if finding.verdict is Verdict.NOT_APPLICABLE else finding.evidence
    )
    texts = [evidence, *([f"next: {finding.hint}"] if finding.hint else [])]
    rows = [row for text in texts for row in _wrap(text, max(WIDTH - indent, 40))] or [""]
    return [f"{start}{rows[0]}".rstrip(), *(" " * indent + row for row in rows[1:])]


def _wrap(text: str, width: int) -> list[str]:
    # Commands and paths must stay whole to be pasted.
    return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


def _subject(finding: Finding) -> str:
    return f"{finding.check}: {finding.about}" if finding.about else finding.check


def _sum(report: DoctorReport) -> str:
    count = Counter(finding.verdict for finding in report.findings)
    return (
        f"{count[Verdict.FAIL]} failed, {count[Verdict.WARN]} warned, {count[Verdict.PASS]} passed, "
        f"{count[Verdict.NOT_APPLICABLE]} not applicable, in {report.duration_s:.1f} s"
    )
