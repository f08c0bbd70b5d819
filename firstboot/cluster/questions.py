"""The register's questions and answers as JSON, bounded; formats trivet-question and trivet-reaction 1."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from firstboot.cluster.bids import (
    Accept,
    Busy,
    Consent,
    Learn,
    Learnt,
    Newer,
    Prepare,
    Promise,
    Question,
    Reaction,
    Rejected,
)
from firstboot.document import Source, parse_document, validate_fields
from firstboot.model import Model

MAX_BYTES = 1024 * 1024
"""Two documents of 300 slots and 1024 removed nodes each."""


class _OneOf(Model):
    """Exactly one of the fields that are not format or version is there."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self._given()) != 1:
            raise ValueError("exactly one of its kinds is needed")
        return self

    def _given(self) -> list[object]:
        fields = (getattr(self, name) for name in type(self).model_fields if name not in ("format", "version"))
        return [value for value in fields if value is not None]


class QuestionDocument(_OneOf):
    """A question: one of its kinds."""

    format: Literal["trivet-question"] = "trivet-question"
    version: str = "1.0"
    prepare: Prepare | None = None
    accept: Accept | None = None
    learn: Learn | None = None


class ReactionDocument(_OneOf):
    """An answer: one of its kinds."""

    format: Literal["trivet-reaction"] = "trivet-reaction"
    version: str = "1.0"
    promise: Promise | None = None
    consent: Consent | None = None
    busy: Busy | None = None
    newer: Newer | None = None
    learnt: Learnt | None = None
    rejected: Rejected | None = None


def question_document(question: Question) -> QuestionDocument:
    """For the wire."""
    match question:
        case Prepare():
            return QuestionDocument(prepare=question)
        case Accept():
            return QuestionDocument(accept=question)
        case Learn():
            return QuestionDocument(learn=question)


def reaction_document(reaction: Reaction) -> ReactionDocument:
    """For the wire."""
    return ReactionDocument.model_validate({type(reaction).__name__.lower(): reaction})


def read_question(body: object) -> Question:
    """A question from decoded JSON; raises BadInputError."""
    fields = body if isinstance(body, dict) else {}
    document = validate_fields(fields, QuestionDocument, Source("the question"))
    (question,) = document._given()
    assert isinstance(question, Prepare | Accept | Learn)
    return question


def read_reaction(raw: bytes) -> Reaction:
    """An answer from the wire; raises BadInputError."""
    document = parse_document(raw, ReactionDocument, Source("its answer", max_bytes=MAX_BYTES))
    (reaction,) = document._given()
    assert isinstance(reaction, Promise | Consent | Busy | Newer | Learnt | Rejected)
    return reaction
