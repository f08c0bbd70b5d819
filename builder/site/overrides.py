"""What is different on one machine, as a person writes it for its seed: disks, network cards, peers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from builder.profile.compile import DEFAULT_MIN_SIZE, compile_rule
from builder.profile.compile_network import compile_interface
from builder.profile.document import read_document
from builder.profile.explain import explain
from builder.profile.load import read_text
from builder.profile.model import Rule
from builder.profile.network import Card, LinkName
from builder.profile.parts import Host, Part
from builder.profile.problems import Problem, ProfileError, allowed_of
from builder.profile.scalars import Name, parse_list
from firstboot.plan import Plan
from firstboot.seed import Overrides

WHAT = "override file"
HINT = "correct the file; its keys are disks (brick class: rule), interface, storage, bonds, bridges and peers"


class OverrideFile(Part):
    """The file that --overrides takes; rules are whole, they are not merged with the profile's."""

    disks: dict[Name, Rule] = Field({}, description="Disk rule of this machine, by brick class.")
    interface: Card | None = Field(None, description="Management interface of this machine.")
    storage: Card | None = Field(None, description="Storage interface of this machine.")
    bonds: dict[LinkName, Annotated[tuple[Card, ...], Field(min_length=1), BeforeValidator(parse_list)]] = Field(
        {}, description="Rules of this machine's cards, by bond."
    )
    bridges: dict[LinkName, Card] = Field({}, description="Interface of this machine, by bridge.")
    peers: Annotated[tuple[Host, ...], BeforeValidator(parse_list), Field(max_length=300)] = Field(
        (), description="Where other nodes are."
    )


def load_overrides(path: Path, plan: Plan) -> Overrides:
    """The overrides of a file, for a site of this plan; raises ProfileError with every problem."""
    document = read_document(read_text(path, what=WHAT, hint=HINT))
    problems = list(document.problems)
    written = OverrideFile()
    if document.value is not None or not problems:
        try:
            written = OverrideFile.model_validate(document.value)
        except ValidationError as error:
            problems += [
                Problem(found.place, found.message, found.allowed, document.line_of(found.place))
                for found in explain(error, OverrideFile)
            ]
    for problem in _unknown(written, plan):
        problems.append(Problem(problem.place, problem.message, problem.allowed, document.line_of(problem.place)))
    if problems:
        raise ProfileError(path, problems, what=WHAT, hint=HINT)
    return _compile(written, plan)


def _unknown(written: OverrideFile, plan: Plan) -> Iterator[Problem]:
    """What the site does not have, and so can't be different here."""
    network = plan.network
    parts: tuple[tuple[str, Iterable[str], str, list[str]], ...] = (
        ("disks", written.disks, "brick class", [brick_class.name for brick_class in plan.bricks]),
        ("bonds", written.bonds, "bond", [bond.name for bond in network.bonds]),
        ("bridges", written.bridges, "bridge", [bridge.name for bridge in network.bridges if not bridge.isolated]),
    )
    for key, names, what, known in parts:
        for name in names:
            if name not in known:
                plural = "brick classes" if what == "brick class" else f"{what}s"
                allowed = allowed_of(name, known, what=f"{plural} are")
                yield Problem((key, name), f"is no {what} of the site", allowed)
    if written.storage is not None and network.storage is None:
        yield Problem(("storage",), "is given, but the site has no storage network", "leave it out")


def _compile(written: OverrideFile, plan: Plan) -> Overrides:
    return Overrides(
        disks={
            name: compile_rule(rule, default_min_bytes=_default_min(plan, name))
            for name, rule in written.disks.items()
        },
        interface=compile_interface(written.interface) if written.interface else None,
        storage=compile_interface(written.storage) if written.storage else None,
        bonds={name: tuple(compile_interface(rule) for rule in rules) for name, rules in written.bonds.items()},
        bridges={name: compile_interface(rule) for name, rule in written.bridges.items()},
        peers=written.peers,
    )


def _default_min(plan: Plan, name: str) -> int:
    """As small as the profile's own rule allows, or smaller still by default."""
    return min(DEFAULT_MIN_SIZE, plan.brick_class(name).rule.min_size_bytes)
