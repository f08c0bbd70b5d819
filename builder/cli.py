"""The `trivet` command: its verbs come from the rooms' `commands` modules, loaded only when called."""

from __future__ import annotations

import importlib
import logging

import click

VERBS: dict[str, tuple[str, str]] = {
    "profile": ("builder.profile.commands:profile", "Check, show or describe profiles."),
    "build": ("builder.image.commands:build", "Build the node image of a profile."),
    "site": ("builder.site.commands:site", "Make sites, slots and seeds; see their nodes."),
    "lab": ("builder.lab.commands:lab", "Boot a site as nested virtual machines."),
}


class Verbs(click.Group):
    """Imports a verb's room when it is used, so that each verb starts quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Log every command that is run.")
@click.version_option(package_name="trivet", prog_name="trivet")
def trivet(verbose: bool) -> None:
    """Turn bare machines into a converged cluster: hypervisor and replicated storage.

    \b
    Example, a three-node cluster in nested virtual machines:
      trivet build profiles/lab.yaml -o build/lab
      trivet lab up profiles/lab.yaml
      trivet lab status
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    if not verbose:
        logging.getLogger("zeroconf").setLevel(logging.ERROR)  # it warns of every interface without a route
