"""`trivet profile`: check, show and describe profiles."""

from __future__ import annotations

import json
from pathlib import Path

import click

from firstboot.errors import Exit

PATH = click.Path(path_type=Path)


@click.group()
def profile() -> None:
    """Check, show or describe profiles.

    \b
    Example:
      trivet profile check profiles/replica3.yaml
    """


@profile.command()
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for each file, a line each.")
def check(files: tuple[Path, ...], as_json: bool) -> int:
    """Report every error of one or more profiles; exit code 3 if there are any.

    \b
    Example:
      trivet profile check profiles/*.yaml
    """
    from builder.profile.load import load_profile
    from builder.profile.problems import ProfileError
    from builder.profile.schema import CheckReport, ProblemReport

    worst = Exit.OK
    for file in files:
        problems: tuple[ProblemReport, ...] = ()
        try:
            load_profile(file)
        except ProfileError as error:
            worst = Exit.BAD_INPUT
            problems = tuple(
                ProblemReport(line=max(p.line, 1), path=p.path, message=p.message, allowed=p.allowed)
                for p in error.problems
            )
            if not as_json:
                click.echo(f"trivet: {error}", err=True)
        if as_json:
            click.echo(CheckReport(file=str(file), ok=not problems, problems=problems).model_dump_json())
        elif not problems:
            click.echo(f"{file}: right")
    return worst


@profile.command()
def schema() -> None:
    """Print the JSON Schema of profiles, for editors.

    \b
    Example (the first line of a profile, for editors with yaml-language-server):
      trivet profile schema > trivet-profile.schema.json
      # yaml-language-server: $schema=trivet-profile.schema.json
    """
    from builder.profile.schema import profile_schema

    click.echo(json.dumps(profile_schema(), indent=2))


@profile.command()
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def show(file: Path, as_json: bool) -> None:
    """Print the complete plan of a profile, with every default filled in.

    \b
    Example:
      trivet profile show profiles/replica3.yaml
    """
    from builder.profile.load import compile_plan, load_profile

    plan = compile_plan(load_profile(file))
    if as_json:
        click.echo(plan.model_dump_json(indent=2))
        return
    import yaml

    click.echo(yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False, allow_unicode=True), nl=False)
