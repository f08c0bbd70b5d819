"""What is different on one machine, as a person writes it for its seed: disks, interface, peers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from builder.profile.compile import DEFAULT_MIN_SIZE, compile_rule
from builder.profile.document import read_document
from builder.profile.explain import explain
from builder.profile.load import read_text
from builder.profile.model import Host, NetworkInterface, Part, Rule, named
from builder.profile.problems import Problem, ProfileError, allowed_of
from builder.profile.scalars import Name, parse_list
from firstboot.plan import Interface, Plan
from firstboot.seed import Overrides

WHAT = "override file"
HINT = "correct the file; its keys are disks (brick class: rule), interface and peers"


class OverrideFile(Part):
    """The file that --overrides takes; rules are whole, they are not merged with the profile's."""

    disks: dict[Name, Rule] = Field({}, description="Disk rule of this machine, by brick class.")
    interface: Annotated[NetworkInterface, BeforeValidator(named)] | None = Field(
        None, description="Management interface of this machine."
    )
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
    known = [brick_class.name for brick_class in plan.bricks]
    for name in written.disks:
        if name not in known:
            place = ("disks", name)
            allowed = allowed_of(name, known, what="brick classes are")
            problems.append(Problem(place, "is no brick class of the site", allowed, document.line_of(place)))
    if problems:
        raise ProfileError(path, problems, what=WHAT, hint=HINT)
    interface = written.interface
    return Overrides(
        disks={
            name: compile_rule(rule, default_min_bytes=_default_min(plan, name))
            for name, rule in written.disks.items()
        },
        interface=Interface(name=interface.name, mac=interface.mac) if interface else None,
        peers=written.peers,
    )


def _default_min(plan: Plan, name: str) -> int:
    """As small as the profile's own rule allows, or smaller still by default."""
    return min(DEFAULT_MIN_SIZE, plan.brick_class(name).rule.min_size_bytes)
