"""What the commands of `trivet site` have in common: options, the site's folder, its passphrase."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstboot.errors import BadInputError

if TYPE_CHECKING:
    from builder.site.folder import Site

SITES = Path("sites")
PATH = click.Path(path_type=Path)

folder_option = click.option(
    "--folder", type=PATH, help="The site folder. Default: ./sites/NAME, or NAME itself if it is a path."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
nodes_option = click.option(
    "--node", "nodes", multiple=True, metavar="ADDRESS", help="Ask this address instead of looking for nodes."
)


# The passphrase itself is never an argument: argument lists are for everybody to read.
passphrase_option = click.option(
    "--passphrase-file", type=PATH, help="File whose first line is the passphrase of the site root key."
)


format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["disk", "file", "image"]),
    default="disk",
    show_default=True,
    help="disk: a small disk to attach. file: seed.json alone. image: into the trivet-seed partition of a raw image.",
)
peer_option = click.option(
    "--peer", "peers", multiple=True, metavar="ADDRESS", help="Where another node is, if mDNS can't tell."
)
overrides_option = click.option(
    "--overrides",
    "overrides_path",
    type=PATH,
    help="YAML: what is different on this machine (disks, interface, peers).",
)


def opened_site(name: str, folder: Path | None) -> Site:
    """The site that a command is about."""
    from builder.site.folder import open_site

    if folder is not None:
        return open_site(folder)
    return open_site(Path(name) if "/" in name else SITES / name)


def unlocking(opened: Site, passphrase_file: Path | None) -> str | None:
    """The passphrase of its root key: from the file, or asked for; None when it has none."""
    passphrase = read_passphrase(passphrase_file)
    if passphrase is None and opened.has_passphrase and sys.stdin.isatty():
        return str(click.prompt(f"Passphrase of site {opened.name}", hide_input=True))
    return passphrase


def read_passphrase(file: Path | None) -> str | None:
    """The first line of a file; raises BadInputError."""
    if file is None:
        return None
    try:
        with file.open(encoding="utf-8") as source:
            passphrase = source.readline(4096).rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"passphrase file {file} can't be read", hint="it holds one line of text") from error
    if len(passphrase) < 8:
        raise BadInputError(f"the passphrase in {file} is shorter than 8 characters", hint="use a longer one")
    return passphrase
