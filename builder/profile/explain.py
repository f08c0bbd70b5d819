"""Turns pydantic's errors on a profile into problems in the words of profiles."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from enum import Enum

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from builder.profile.model import Profile
from builder.profile.problems import Place, Problem, allowed_of
from builder.profile.scalars import PATTERN_WORDS

MAX_ECHO = 60


def explain(error: ValidationError, root: type[BaseModel] = Profile) -> Iterator[Problem]:
    """A problem for each error on a document of model `root`, in pydantic's order."""
    for detail in error.errors(include_url=False):
        yield _explain(detail, root)


def model_at(place: Place, root: type[BaseModel]) -> type[BaseModel] | None:
    """The model of the mapping at a place of a document, or None where there is none."""
    current: object = root
    for part in place:
        if isinstance(part, int):
            continue
        if typing.get_origin(current) is dict:  # free keys: what counts is the model of the values
            current = typing.get_args(current)[1]
            continue
        model = _model_in(current)
        if model is None or part not in model.model_fields:
            return None
        current = model.model_fields[part].annotation
    return _model_in(current)


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The first model inside an annotation such as tuple[Volume, ...] or Bridge | None."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for argument in typing.get_args(annotation):
        if (found := _model_in(argument)) is not None:
            return found
    return None


def _explain(detail: ErrorDetails, root: type[BaseModel]) -> Problem:
    place: Place = tuple(part for part in detail["loc"] if part != "[key]")
    given = "the value" if place[-1:] == ("console_password_hash",) else detail["input"]
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            model = model_at(place[:-1], root)
            keys = list(model.model_fields) if model else []
            return Problem(place, "unknown key", allowed_of(place[-1], keys, what="keys here are"))
        case "missing":
            return Problem(place, "is missing", _described(place, root))
        case "enum" | "literal_error":
            words = _words(str(context.get("expected", "")))
            return Problem(place, f"{_echo(given)} is not allowed", allowed_of(given, words, what="allowed is"))
        case "string_pattern_mismatch":
            pattern = str(context.get("pattern"))
            return Problem(place, f"{_echo(given)} is not {PATTERN_WORDS.get(pattern, 'plain text of one line')}")
        case "value_error":
            return Problem(place, str(context.get("error", detail["msg"])))
        case "greater_than_equal":
            return Problem(place, f"{_echo(given)} is too small", f"at least {context['ge']}")
        case "less_than_equal":
            return Problem(place, f"{_echo(given)} is too large", f"at most {context['le']}")
        case "too_long":
            return Problem(place, f"has {context['actual_length']} entries", f"at most {context['max_length']}")
        case "too_short":
            return Problem(place, "is empty", f"at least {context['min_length']} is needed")
        case "string_too_long":
            return Problem(place, "is too long", f"at most {context['max_length']} characters")
        case "string_too_short":
            return Problem(place, "is empty")
        case "string_type" if isinstance(given, bool | int | float):
            return Problem(place, f"{_echo(given)} is not text", f'put it in quotes: "{_echo(given)}"')
        case "int_type" | "bool_type" if isinstance(given, str) and given.lower() in _plain(given):
            return Problem(place, f'"{_echo(given)}" is text', "leave the quotes out")
    return Problem(place, f"{_echo(given)} is not {_kind(detail['type'])}")


def _described(place: Place, root: type[BaseModel]) -> str:
    """What the field at a place is for."""
    model = model_at(place[:-1], root)
    field = model.model_fields.get(str(place[-1])) if model else None
    return ((field.description or "") if field else "").rstrip(".").lower()


def _plain(text: str) -> tuple[str, ...]:
    """The text itself where YAML would read it, without quotes, as a number or boolean."""
    return (text.lower(),) if text.isdecimal() or text.lower() in ("true", "false") else ()


def _words(expected: str) -> list[str]:
    """The words of pydantic's list "'a', 'b' or 'c'"."""
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(",") if word.strip()]


def _kind(error_type: str) -> str:
    kinds = {
        "string_type": "text",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "bool_type": "true or false",
        "tuple_type": "a list",
        "list_type": "a list",
        "dict_type": "a mapping of keys to values",
        "model_type": "a mapping of keys to values",
    }
    return kinds.get(error_type, f"right ({error_type})")


def _echo(given: object) -> str:
    if given is None:
        return "nothing"
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, dict):
        return "a mapping"
    if isinstance(given, list | tuple):
        return "a list"
    text = str(given.value if isinstance(given, Enum) else given)
    return text if len(text) <= MAX_ECHO else f"{text[:MAX_ECHO]}…"
