"""Errors that a person can act on, and the exit codes of both commands."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `trivet` and `trivet-node`; docs/formats.md lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    BAD_INPUT = 3
    REFUSED = 4
    WAITING = 5
    MISSING = 6
    INTERRUPTED = 130


class TrivetError(Exception):
    """What failed, on what; `hint` is the next step for the person who reads it."""

    exit_code: Exit = Exit.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message


class BadInputError(TrivetError):
    """A profile, seed, image or other file from outside is wrong."""

    exit_code = Exit.BAD_INPUT


class RefusedError(TrivetError):
    """Going on could harm something; nothing was changed."""

    exit_code = Exit.REFUSED


class MissingError(TrivetError):
    """A program, package or permission that this needs is not there."""

    exit_code = Exit.MISSING
