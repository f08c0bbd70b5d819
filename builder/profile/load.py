"""Reads a profile file: all errors at once, each with its line, its path and what is allowed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from builder.profile.checks import run_checks
from builder.profile.compile import compile_plan
from builder.profile.document import MAX_BYTES, Document, Value, read_document
from builder.profile.explain import explain
from builder.profile.model import FORMAT, Profile
from builder.profile.problems import Place, Problem, ProfileError
from firstboot.errors import BadInputError

__all__ = ["compile_plan", "load_profile", "read_profile"]

STAND_INS: dict[str, Value] = {"trivet": FORMAT, "name": "unnamed", "slots": 1}
"""Stand for sections that are needed and wrong, so that the others can be checked."""


def load_profile(path: Path) -> Profile:
    """The checked profile of a file; raises ProfileError with every problem, BadInputError when it can't be read."""
    return read_profile(
        read_text(path, what="profile", hint="name a profile file, such as profiles/replica3.yaml"), path
    )


def read_text(path: Path, *, what: str, hint: str) -> str:
    """A file's text, bounded; raises BadInputError that calls the file `what`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInputError(f"{what} {path} can't be read: {error.strerror}", hint=hint) from error
    if len(raw) > MAX_BYTES:
        raise BadInputError(f"{what} {path} is larger than {MAX_BYTES // 1024} KiB", hint=f"is it a {what} at all?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ProfileError(path, [Problem((), "is not UTF-8 text", line=line)], what=what, hint=hint) from error


def read_profile(text: str, file: Path) -> Profile:
    """The checked profile of a text; `file` is named in errors."""
    document = read_document(text)
    if document.value is None and document.problems:
        raise ProfileError(file, document.problems)
    if not isinstance(document.value, dict):
        raise ProfileError(file, [*document.problems, Problem((), "is not a mapping", "begin it with: trivet: 1", 1)])
    if (marker := _format_problem(document.value)) is not None:
        raise ProfileError(file, [_placed(marker, document)])
    profile, problems = _validate(document.value)
    unread = {problem.place for problem in document.problems if problem.place}
    problems = [
        *document.problems,
        *(_placed(problem, document) for problem in problems if problem.place not in unread),
    ]
    if problems or profile is None:
        raise ProfileError(file, problems)
    return profile


def _format_problem(value: dict[str, Value]) -> Problem | None:
    """The format is judged alone: what another format's keys mean is not known here."""
    if "trivet" not in value:
        return Problem(("trivet",), "is missing", f"begin the profile with: trivet: {FORMAT}")
    marker = value["trivet"]
    if marker == FORMAT and not isinstance(marker, bool | float):
        return None
    if isinstance(marker, int) and not isinstance(marker, bool) and marker > FORMAT:
        return Problem(
            ("trivet",), f"this profile has format {marker}; this Trivet reads format {FORMAT}", "use a newer Trivet"
        )
    return Problem(("trivet",), f"{marker!r} is no format of profiles", f"allowed is: {FORMAT}")


def _validate(value: dict[str, Value]) -> tuple[Profile | None, list[Problem]]:
    """The profile, if it is right; otherwise every problem of form, and those between the sections that have none."""
    try:
        profile = Profile.model_validate(value)
    except ValidationError as error:
        problems = list(explain(error))
        unknown = [detail["loc"] for detail in error.errors() if detail["type"] == "extra_forbidden"]
    else:
        problems = run_checks(profile, broken=frozenset())
        return (None if problems else profile), problems
    rest = _without(value, unknown)
    broken = frozenset(str(problem.place[0]) for problem in problems if problem.place not in unknown)
    rest = {key: part for key, part in rest.items() if key not in broken}
    rest |= {key: part for key, part in STAND_INS.items() if key in broken}
    return None, problems + run_checks(Profile.model_validate(rest), broken=broken)


def _without(value: dict[str, Value], places: Sequence[Place]) -> dict[str, Value]:
    """The document without these keys: an unknown key makes nothing else of its section wrong."""
    rest = copy.deepcopy(value)
    for place in places:
        parent: Value = rest
        for part in place[:-1]:
            if isinstance(parent, dict):
                parent = parent[str(part)]
            elif isinstance(parent, list):
                parent = parent[int(part)]
        if isinstance(parent, dict):
            parent.pop(str(place[-1]), None)
    return rest


def _placed(problem: Problem, document: Document) -> Problem:
    place: Place = problem.place
    return Problem(place, problem.message, problem.allowed, document.line_of(place))
