"""Documents with a format and a version: read whole, or refused with one reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.document import Source, load_document, parse_document, parse_fields
from firstboot.errors import BadInputError, RefusedError, TrivetError
from firstboot.model import Model


class Part(Model):
    """A part of a note."""

    number: int


class Note(Model):
    """A document."""

    format: Literal["trivet-note"] = "trivet-note"
    version: str = "1.2"
    parts: dict[int, Part] = {}


SOURCE = Source("note /n", hint="write it again", version_hint="use a newer reader", max_bytes=1000)
NOTE = Note(parts={3: Part(number=4)})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "note.json").write_text(NOTE.model_dump_json())
    assert load_document(tmp_path / "note.json", Note, SOURCE) == NOTE


def test_a_missing_file_is_the_callers(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_document(tmp_path / "note.json", Note, SOURCE)


def test_a_newer_minor_is_read() -> None:
    assert parse_document(b'{"format": "trivet-note", "version": "1.9"}', Note, SOURCE).version == "1.9"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "note /n is damaged: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "note /n is not of format trivet-note"),
        (b'{"format": "trivet-seed", "version": "1.0"}', "note /n is not of format trivet-note"),
        (
            b'{"format": "trivet-note", "version": "1.0", "parts": {"1": {}}}',
            "note /n is damaged: parts.1.number: Field required",
        ),
        (b" " * 1001, "note /n is larger than 1000 bytes"),
    ],
)
def test_damage_is_named_with_the_next_step(raw: bytes, message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_document(raw, Note, SOURCE)
    assert (caught.value.message, caught.value.hint) == (message, "write it again")


@pytest.mark.parametrize(
    ("version", "words"),
    [("2.0", "2.0"), ("10.0", "10.0"), ("", ""), (2, "2"), (None, "None"), ("2" * 99, "2" * 20)],
)
def test_another_major_is_named_even_where_the_rest_is_unknown(version: object, words: str) -> None:
    raw = json.dumps({"format": "trivet-note", "version": version, "news": 1}).encode()
    with pytest.raises(BadInputError) as caught:
        parse_document(raw, Note, SOURCE)
    assert caught.value.message == f"note /n has format version {words}; this node reads 1.x"
    assert caught.value.hint == "use a newer reader"


def test_a_document_without_a_version_is_refused() -> None:
    with pytest.raises(BadInputError, match="format version none"):
        parse_fields(b'{"format": "trivet-note"}', Note, SOURCE)


def test_the_source_chooses_the_error() -> None:
    with pytest.raises(RefusedError):
        parse_document(b"", Note, Source("note", error=RefusedError))


@given(st.binary(max_size=200) | st.builds(lambda depth: b"[" * depth, st.integers(0, 100_000)))
def test_rubbish_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(TrivetError):
        parse_document(raw, Note, Source("note"))
