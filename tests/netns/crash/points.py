"""Kill points: what a run of the agent does to the world, as identities that are the same in the next run."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath

from firstboot import files
from tests.netns.looks import LOOKING

VOLATILE = ("/run/", "/srv/", "/var/tmp/", "/dev/shm/")
"""What a node's power-off empties: files that are rewritten there at each change of the status are one thing."""
TEMPORARY = re.compile(rf"^\.(?P<name>.+)\.[a-z0-9_]{{8}}{re.escape(files.TEMPORARY)}$")
"""The name that firstboot.files gives to a file before it is renamed."""
NORMAL = (
    (re.compile(r"/dev/loop\d+"), "/dev/DISK"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
)


@dataclass(frozen=True, order=True)
class Point:
    """A moment in a run. `kind`: command, libvirt, write (a file), sync (of a folder alone); `phase`: see PHASES."""

    kind: str
    what: str
    phase: str
    occurrence: int = 1

    def __str__(self) -> str:
        times = f" #{self.occurrence}" if self.occurrence > 1 else ""
        return f"{self.phase} {self.kind} {self.what}{times}"

    @property
    def is_within(self) -> bool:
        """Whether it is in the middle of a call."""
        return self.phase.endswith("into")

    def within(self, share: float) -> Point:
        """The moment in the middle of the call that ends here."""
        return replace(self, phase=f"{share:.0%} into")

    @property
    def end(self) -> Point:
        """The end of the call that this is a moment of."""
        return replace(self, phase="after")

    @property
    def changes_gluster(self) -> bool:
        """Whether other nodes' glusterds take part in what is cut off here."""
        return self.kind == "command" and self.what.startswith("gluster ") and not is_look(self.what)


@dataclass(frozen=True)
class Order:
    """The interceptor's task: record only, or be killed at a point; within a call, `delay_s` after it began."""

    point: Point | None = None
    with_node: bool = False
    delay_s: float = 0.0
    lag_s: float = 0.0
    """Before the first command that changes Gluster: by then all glusterds are up, and no command is repeated."""

    @classmethod
    def load(cls, text: str) -> Order:
        fields = json.loads(text)
        point = fields.pop("point")
        return cls(point=None if point is None else Point(**point), **fields)

    def dump(self) -> str:
        return json.dumps(asdict(self))


PHASES = {
    "before": "it has not begun",
    "40% into": "it goes on, since that part of the time that it took in the clean run",
    "after": "it has ended, the agent has not gone on",
    "unsynced": "the new content is written to a temporary file, not yet fsynced; a node's kill empties it",
    "unnamed": "it is fsynced, not yet renamed",
    "renamed": "it is renamed, the folder not yet fsynced; a node's kill undoes it, 3 s later",
    "durable": "it is renamed, and the folder fsynced",
}


def is_look(command: str) -> bool:
    """Whether a command is known to change nothing."""
    return LOOKING.match(command) is not None


def normal(text: str) -> str:
    """A command line or path without what differs from run to run."""
    for pattern, word in NORMAL:
        text = pattern.sub(word, text)
    return text


def command_line(argv: Sequence[str]) -> str:
    return normal(shlex.join(argv))


def target_of(path: str) -> str:
    """The file that a temporary file is going to be."""
    pure = PurePosixPath(path)
    found = TEMPORARY.match(pure.name)
    return normal(str(pure.with_name(found["name"]) if found else pure))


class Numbering:
    """Counts the occurrences of each thing in a run. Looks, and writes of volatile files, count once: the first time.

    Safe to call from any thread.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def next(self, kind: str, what: str) -> int | None:
        """The occurrence of a thing that begins now, or None when it is folded into an earlier one."""
        with self._lock:
            self._counts[kind, what] += 1
            count = self._counts[kind, what]
        folded = is_look(what) if kind == "command" else what.startswith(VOLATILE)
        return None if folded and count > 1 else count


@dataclass(frozen=True)
class Record:
    """What one run of the agent did: every intercepted call, the points, how long each command took."""

    calls: int
    points: tuple[Point, ...]
    durations_s: dict[Point, float]
    hit: Point | None
    late: bool
    findings: tuple[str, ...]


def read_record(lines: Iterable[str]) -> Record:
    """Read what the runner wrote, in order; a last line that is cut off is left out."""
    calls, points, durations, findings = 0, [], {}, []
    hit: Point | None = None
    late = False
    opened: dict[str, bool] = {}
    for line in lines:
        if not line.endswith("\n"):
            continue
        entry = json.loads(line)
        calls += entry.get("call", 0)
        if "opened" in entry:
            opened.setdefault(entry["opened"], False)
        if "synced" in entry:
            opened[entry["synced"]] = True
        if "finding" in entry:
            findings.append(entry["finding"])
        if "point" in entry:
            points.append(Point(**entry["point"]))
            if "took_s" in entry:
                durations[points[-1]] = entry["took_s"]
        if "hit" in entry:
            hit, late = Point(**entry["hit"]), bool(entry.get("late"))
    findings += [f"{path} was written, and never fsynced" for path, synced in opened.items() if not synced]
    return Record(calls, tuple(points), durations, hit, late, tuple(findings))
