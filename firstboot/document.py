"""JSON documents with a format and a version: read whole, or refused with one reason and the next step.

The format's name and the major version that is read are the defaults of the model's `format` and `version`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from firstboot.errors import BadInputError, TrivetError
from firstboot.model import Model

ModelT = TypeVar("ModelT", bound=Model)


@dataclass(frozen=True)
class Source:
    """Where a document comes from and who reads it, in the words of its errors.

    `hint` is the next step when it is damaged, `version_hint` when it is of another major version.
    """

    name: str
    hint: str = ""
    version_hint: str = ""
    reader: str = "this node"
    error: type[TrivetError] = BadInputError
    max_bytes: int | None = None

    def damaged(self, why: str) -> TrivetError:
        """The error to raise for one that can't be used as it is."""
        return self.error(f"{self.name} is damaged: {why}", hint=self.hint)


def load_document(path: Path, model: type[ModelT], source: Source) -> ModelT:
    """The document in a file; raises OSError when the file can't be read, `source.error` for what is in it."""
    with path.open("rb") as file:
        raw = file.read(-1 if source.max_bytes is None else source.max_bytes + 1)
    return parse_document(raw, model, source)


def parse_document(raw: bytes, model: type[ModelT], source: Source) -> ModelT:
    """The document in these bytes; raises `source.error`."""
    return validate_fields(parse_fields(raw, model, source), model, source)


def parse_fields(raw: bytes, model: type[Model], source: Source) -> dict[str, Any]:
    """The keys and values, once they are known to be of the model's format and major version; else `source.error`.

    The version is looked at before anything else in the document: a newer one may look like damage.
    """
    if source.max_bytes is not None and len(raw) > source.max_bytes:
        raise source.error(f"{source.name} is larger than {source.max_bytes} bytes", hint=source.hint)
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise source.damaged(str(error)) from error
    form, reads = (str(model.model_fields[key].default) for key in ("format", "version"))
    if not isinstance(fields, dict) or fields.get("format") != form:
        raise source.error(f"{source.name} is not of format {form}", hint=source.hint)
    version, major = str(fields.get("version", "none"))[:20], reads.partition(".")[0]
    if version.partition(".")[0] != major:
        raise source.error(
            f"{source.name} has format version {version}; {source.reader} reads {major}.x", hint=source.version_hint
        )
    return fields


def validate_fields(fields: dict[str, Any], model: type[ModelT], source: Source) -> ModelT:
    """The model of these keys and values; raises `source.error` with the first thing that is wrong."""
    try:
        return model.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise source.damaged(f"{where}: {first['msg']}" if where else first["msg"]) from None
