"""The verb `trivet build`."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import click

from firstboot.errors import Exit


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("profile", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Output folder; default build/PROFILE-NAME.")
@click.option("--mirror", metavar="URL", help="Debian archive to build from; default: that of this host's apt.")
@click.option(
    "--security-mirror", metavar="URL", help="Archive of security updates; default: that of this host's apt."
)
@click.option("--refresh", is_flag=True, help="Fetch all packages again, also when nothing changed here.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Don't show progress.")
def build(
    profile: Path,
    output: Path | None,
    mirror: str | None,
    security_mirror: str | None,
    refresh: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Build the node image of a profile.

    \b
    Example:
      trivet build profiles/replica3.yaml -o build/replica3
    """
    from builder.image.build import build_image
    from builder.image.progress import Progress
    from builder.image.report import BuildReport, StepReport
    from builder.profile.compile import compile_plan
    from builder.profile.load import load_profile

    plan = compile_plan(load_profile(profile))
    folder = output or Path("build") / plan.name
    signal.signal(signal.SIGTERM, _interrupt)
    result = build_image(
        plan,
        folder,
        mirror=mirror,
        security_mirror=security_mirror,
        base=profile.parent,
        refresh=refresh,
        progress=Progress(quiet=quiet),
    )
    if as_json:
        steps = tuple(StepReport(name=step.name, duration_s=round(step.duration_s, 2)) for step in result.steps)
        report = BuildReport(
            folder=str(folder),
            changed=result.changed,
            duration_s=round(result.duration_s, 2),
            steps=steps,
            image=result.manifest,
        )
        click.echo(report.model_dump_json(indent=1))
        return Exit.OK
    state = "built" if result.changed else "unchanged"
    for file in result.manifest.files:
        path = folder / file.name
        click.echo(f"{path}  {path.stat().st_blocks * 512 // 1024**2} MiB on disk  {state}")
    click.echo(f"{result.manifest.packages} packages, {result.duration_s:.1f} s")
    return Exit.OK


def _interrupt(number: int, frame: FrameType | None) -> None:
    # A service manager's SIGTERM cleans up as a person's Ctrl-C does.
    raise KeyboardInterrupt
