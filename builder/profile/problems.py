"""What is wrong in a profile: each problem with its place and what is allowed, all of them in one error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstboot.errors import BadInputError

Place = tuple[str | int, ...]
"""Where in the document: keys and list indexes from the top."""

MAX_SHOWN = 50


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; `allowed` says what would be right."""

    place: Place
    message: str
    allowed: str = ""
    line: int = 0

    @property
    def path(self) -> str:
        """The place as people write it, such as volumes[0].replica."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place).lstrip(".")

    @property
    def text(self) -> str:
        where = f"{self.path}: " if self.place else ""
        return f"{where}{self.message}" + (f"; {self.allowed}" if self.allowed else "")


class ProfileError(BadInputError):
    """A profile can't be used; `problems` are in the order of the file's lines."""

    def __init__(self, file: Path, problems: Iterable[Problem], *, what: str = "profile", hint: str = "") -> None:
        self.file = file
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        count = len(self.problems)
        shown = "".join(f"\n  {file}:{problem.line}: {problem.text}" for problem in self.problems[:MAX_SHOWN])
        more = f"\n  and {count - MAX_SHOWN} more" if count > MAX_SHOWN else ""
        super().__init__(
            f"{what} {file} has {count} error{'' if count == 1 else 's'}:{shown}{more}",
            hint=hint or f"correct the file and run: trivet profile check {file}",
        )


def allowed_of(given: object, allowed: Sequence[str], *, what: str) -> str:
    """The allowed words, with the one that was probably meant first."""
    near = difflib.get_close_matches(str(given)[:64], allowed, n=1, cutoff=0.6)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}{what}: {', '.join(allowed) if allowed else 'none'}"
