"""YAML read strictly: YAML 1.2 scalars, lines, and texts that no profile is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from builder.profile.document import read_document


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = "mac: 52:54:00:12:34:56\nno: no\nyes: on\n"
    text += "oct: 010\nnone: ~\nyes2: true\nnum: 12\nfloat: 1.5\ndate: 2026-01-01\n"
    assert read_document(text).value == {
        "mac": "52:54:00:12:34:56",
        "no": "no",
        "yes": "on",
        "oct": 10,
        "none": None,
        "yes2": True,
        "num": 12,
        "float": 1.5,
        "date": "2026-01-01",
    }


def test_lines() -> None:
    document = read_document("a: 1\nb:\n  - x\n  -\n    c: 2\n")
    assert document.line_of(("a",)) == 1
    assert document.line_of(("b",)) == 2
    assert document.line_of(("b", 0)) == 3
    assert document.line_of(("b", 1, "c")) == 5
    assert document.line_of(("b", 1, "missing")) == 5
    assert document.line_of(("elsewhere",)) == 1


def test_deep_nesting_is_a_problem_not_a_crash() -> None:
    (problem,) = read_document("[" * 50_000).problems
    assert "deep" in problem.message or "not valid YAML" in problem.message


def test_several_documents_are_refused() -> None:
    (problem,) = read_document("a: 1\n---\nb: 2\n").problems
    assert problem.line == 2
    assert "not valid YAML" in problem.message


def test_control_characters_are_refused() -> None:
    (problem,) = read_document("a: \x07\n").problems
    assert "not YAML text" in problem.message


@given(st.text(alphabet="abc:-[]{}&*!|>'\"#%@?<, \n\t0159~", max_size=200))
@settings(max_examples=300)
def test_any_text_has_a_value_or_a_problem(text: str) -> None:
    document = read_document(text)
    assert document.problems or document.value is not None or text.strip()
    assert all(problem.line >= 1 for problem in document.problems)
