"""Which kills there are, which of them are done, and the table of what came of them. Pure but for reading a file."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.netns.crash.points import Point, Record

KINDS = ("agent", "node", "peer", "site")
OUTCOMES = ("converged", "not reached", "failed")
WITHIN = (0.4,)
WITHIN_GLUSTER = (0.15, 0.4, 0.7)
"""The part of a call's time in the clean run that passes until it is cut off; glusterd goes through stages."""
SHORTEST_S = 0.004
"""A call that took less has no middle that could be met."""


@dataclass(frozen=True)
class Case:
    """A kill: at a point of a role's run.

    `kind` says whose: the agent that is there; its node; a peer, the follower's node while the founder is there;
    the site, every node at once. `delay_s` is for points within a call.
    """

    role: str
    point: Point
    kind: str
    delay_s: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        return f"{self.role}, {self.kind} killed {self.point}"

    def dump(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def load(cls, fields: Mapping[str, object]) -> Case:
        known = dict(fields)
        return cls(**{**known, "point": Point(**known["point"])})  # type: ignore[arg-type, dict-item]


@dataclass(frozen=True)
class Result:
    """What came of a case. `recovery_s`: from the kill until all had formed. `late`: the call had ended before it."""

    outcome: str
    took_s: float = 0.0
    recovery_s: float = 0.0
    late: bool = False
    why: tuple[str, ...] = ()


def cases(records: Mapping[str, Record]) -> list[Case]:
    """Every kill of a clean run, in the order of its points."""
    found = []
    for role, record in records.items():
        for point, delay_s in with_middles(record):
            found += [Case(role, point, kind, delay_s) for kind in kinds(role, point)]
    return found


def with_middles(record: Record) -> list[tuple[Point, float]]:
    """The points of a record, and moments within every call that took long enough, with the time until then."""
    found = []
    for point in record.points:
        took_s = record.durations_s.get(point, 0.0)
        if took_s >= SHORTEST_S:
            shares = WITHIN_GLUSTER if point.changes_gluster else WITHIN
            found += [(point.within(share), round(took_s * share, 3)) for share in shares]
        found.append((point, 0.0))
    return found


def kinds(role: str, point: Point) -> tuple[str, ...]:
    """Who is killed at a point. What is not durable is lost with the node alone; for an agent it is as when it is."""
    if point.phase in ("unsynced", "renamed"):
        return ("node",)
    return KINDS if role == "founder" and point.changes_gluster else ("agent", "node")


def choose(every: Sequence[Case], words: str, sample: int, seed: int) -> list[Case]:
    """The cases whose text has every word, or so many of them by chance."""
    found = [case for case in every if all(word in str(case) for word in words.split())]
    if 0 < sample < len(found):
        drawn = set(random.Random(seed).sample(range(len(found)), sample))
        found = [case for number, case in enumerate(found) if number in drawn]
    return found


@dataclass
class Results:
    """The results file: a head, then a line a case. What is in it is done."""

    path: Path
    head: dict[str, object]
    done: dict[Case, Result] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Results | None:
        """The results so far; a last line that was cut off is left out."""
        if not path.is_file():
            return None
        lines = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        if not lines:
            return None
        done = {Case.load(e["case"]): Result(**{**e["result"], "why": tuple(e["result"]["why"])}) for e in lines[1:]}
        return cls(path, lines[0], done)

    def start(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.head) + "\n")

    def add(self, case: Case, result: Result) -> None:
        self.done[case] = result
        with self.path.open("a") as file:
            file.write(json.dumps({"case": case.dump(), "result": asdict(result)}) + "\n")


def table(done: Mapping[Case, Result]) -> str:
    """Points by what they are and how far it was, against who was killed: converged / not reached / failed."""
    columns = [(role, kind) for role in dict.fromkeys(c.role for c in done) for kind in KINDS]
    columns = [c for c in columns if any((case.role, case.kind) == c for case in done)]
    rows = list(dict.fromkeys((c.point.kind, c.point.phase) for c in done))
    counts = Counter((c.point.kind, c.point.phase, c.role, c.kind, r.outcome) for c, r in done.items())
    sums = Counter((c.role, c.kind, r.outcome) for c, r in done.items())
    head = f"{'point':<18}" + "".join(f"{f'{role} {kind}':>17}" for role, kind in columns)
    lines = [head]
    for kind_of, phase in sorted(rows):
        cells = [cell(counts[kind_of, phase, role, kind, outcome] for outcome in OUTCOMES) for role, kind in columns]
        lines.append(f"{f'{kind_of} {phase}':<18}" + "".join(f"{text:>17}" for text in cells))
    totals = [cell(sums[role, kind, outcome] for outcome in OUTCOMES) for role, kind in columns]
    lines.append(f"{'all':<18}" + "".join(f"{text:>17}" for text in totals))
    return "\n".join([*lines, "each: converged / not reached / failed"])


def cell(numbers: Iterable[int]) -> str:
    counts = list(numbers)
    return "/".join(str(n) for n in counts) if any(counts) else "-"


def summary(planned: Sequence[Case], results: Results) -> dict[str, object]:
    """The last line's numbers, of the planned cases."""
    done = {case: results.done[case] for case in planned if case in results.done}
    outcomes = Counter(result.outcome for result in done.values())
    recoveries = sorted(result.recovery_s for result in done.values() if result.outcome == "converged")
    return {
        **{key: results.head[key] for key in ("commit", "calls", "points")},
        "cases": len(planned),
        "done": len(done),
        **{outcome.replace(" ", "_"): outcomes[outcome] for outcome in OUTCOMES},
        "late": sum(result.late for result in done.values()),
        "recovery_s_median": recoveries[len(recoveries) // 2] if recoveries else None,
        "recovery_s_max": recoveries[-1] if recoveries else None,
    }
