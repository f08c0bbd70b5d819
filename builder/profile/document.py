"""Reads YAML strictly: plain values and the line of each, duplicate keys and everything clever refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from builder.profile.problems import Place, Problem

MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 24

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]


class Loader(yaml.SafeLoader):
    """Resolves plain scalars as YAML 1.2's core schema does.

    YAML 1.1 reads 52:54:00:12:34:56 as a number in base 60, and `no` as false.
    """

    yaml_implicit_resolvers = {}


TAG = "tag:yaml.org,2002:"
Loader.add_implicit_resolver(f"{TAG}null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
Loader.add_implicit_resolver(f"{TAG}bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
Loader.add_implicit_resolver(f"{TAG}int", re.compile(r"^[-+]?[0-9]{1,18}$"), list("-+0123456789"))
Loader.add_implicit_resolver(
    f"{TAG}float", re.compile(r"^[-+]?(?:[0-9]{1,18}\.[0-9]{0,18})(?:[eE][-+]?[0-9]{1,3})?$"), list("-+0123456789")
)


@dataclass
class Document:
    """A file's values, the line (from 1) of every place, and what was wrong with its form."""

    value: Value = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, place: Place) -> int:
        """The line of a place, or of the nearest place around it that the file has."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_document(text: str) -> Document:
    """Read YAML text. Form errors become problems; a text that can't be parsed has no value."""
    document = Document()
    try:
        root = _compose(text)
    except yaml.YAMLError as error:
        document.problems.append(_syntax(error))
        return document
    except RecursionError:
        document.problems.append(Problem((), "is nested too deep", line=1))
        return document
    if root is None:
        document.problems.append(Problem((), "is empty", "begin it with: trivet: 1", line=1))
        return document
    _Reader(document).read_root(root)
    return document


def _compose(text: str) -> Node | None:
    loader = Loader(text)
    try:
        node: Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def _syntax(error: yaml.YAMLError) -> Problem:
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem((), f"is not YAML text: {str(error).splitlines()[0]}", line=1)
    mark = error.problem_mark or error.context_mark
    reason = " ".join(part for part in (error.context, error.problem) if part)
    return Problem((), f"is not valid YAML: {reason}", line=mark.line + 1 if mark else 1)


class _TooMuchError(Exception):
    """The document is larger than any profile once its aliases are followed."""


class _Reader:
    """Turns nodes into values; every use of an alias counts, so that a small file can't grow."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.left = MAX_NODES

    def read_root(self, root: Node) -> None:
        try:
            self.document.value = self._read(root, ())
        except _TooMuchError as error:
            self.document.value = None
            self.document.problems.append(Problem((), str(error), "repeat less with aliases", line=1))

    def _read(self, node: Node, place: Place) -> Value:
        self.left -= 1
        if self.left < 0:
            raise _TooMuchError(f"holds more than {MAX_NODES} values")
        if len(place) > MAX_DEPTH:
            raise _TooMuchError(f"is nested deeper than {MAX_DEPTH} levels")
        self.document.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, MappingNode) and node.tag == f"{TAG}map":
            return self._mapping(node, place)
        if isinstance(node, SequenceNode) and node.tag == f"{TAG}seq":
            return [self._read(child, (*place, index)) for index, child in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self._scalar(node, place)
        return self._refuse_tag(node, place)

    def _mapping(self, node: MappingNode, place: Place) -> Value:
        found: dict[str, Value] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._problem(place, "has a key that is not text", line=line)
                continue
            key = key_node.value
            if key == "<<":
                self._problem(place, "has a merge key (<<)", "write the keys out", line=line)
                continue
            inner = (*place, key)
            if key in found:
                self._problem(
                    inner, "is there twice", f"the first is on line {self.document.lines[inner]}", line=line
                )
                continue
            self.document.lines[inner] = line
            found[key] = self._read(value_node, inner)
        return found

    def _scalar(self, node: ScalarNode, place: Place) -> Value:
        text: str = node.value
        match node.tag.removeprefix(TAG):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if re.fullmatch(r"[-+]?[0-9]{1,18}", text):
                return int(text)
            case "float" if re.fullmatch(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?", text):
                return float(text)
            case "str":
                return text
        return self._refuse_tag(node, place)

    def _refuse_tag(self, node: Node, place: Place) -> Value:
        self._problem(place, f"has the tag {node.tag.replace(TAG, '!!')}", "tags are not used in profiles")
        return None

    def _problem(self, place: Place, message: str, allowed: str = "", *, line: int = 0) -> None:
        self.document.problems.append(Problem(place, message, allowed, line or self.document.line_of(place)))
