"""`trivet site`: make sites, slots and seeds; see their nodes."""

from __future__ import annotations

from pathlib import Path

import click

from builder.site.options import (
    PATH,
    SITES,
    folder_option,
    json_option,
    nodes_option,
    opened_site,
    passphrase_option,
    read_passphrase,
)
from builder.site.slotcommands import seed, slot
from firstboot.errors import TrivetError

BROWSE_S = 6.0


@click.group()
def site() -> None:
    """Make sites, slots and seeds; see their nodes.

    \b
    Example:
      trivet site new rack1 --profile profiles/replica3.yaml
      trivet site seed rack1 1 -o node1.img
      trivet site status rack1
    """


@site.command()
@click.argument("name")
@click.option("--profile", "profile_path", type=PATH, required=True, help="The site's profile.")
@folder_option
@click.option("--passphrase", "ask", is_flag=True, help="Ask for a passphrase for the site root key.")
@passphrase_option
def new(name: str, profile_path: Path, folder: Path | None, ask: bool, passphrase_file: Path | None) -> None:
    """Make a site folder: the site root, its slots, and the admin's SSH key. Keep a backup of it.

    \b
    Example:
      trivet site new rack1 --profile profiles/replica3.yaml
    """
    from builder.profile.load import compile_plan, load_profile
    from builder.site.folder import create_site

    plan = compile_plan(load_profile(profile_path))
    passphrase = read_passphrase(passphrase_file)
    if ask and passphrase is None:
        passphrase = click.prompt("Passphrase of the site root key", hide_input=True, confirmation_prompt=True)
    path = folder or SITES / name
    made = create_site(path, name, plan, passphrase=passphrase)
    click.echo(f"site {made.name} ({made.id}) with {len(plan.slots)} slots is in {path}")
    click.echo(f"  next: trivet site seed {name} 1 -o {plan.slots[0].name}.img")


site.add_command(seed)
site.add_command(slot)


@site.command("list")
@click.option("--folder", type=PATH, default=SITES, show_default=True, help="The folder of site folders.")
@json_option
def list_sites(folder: Path, as_json: bool) -> None:
    """Show the sites on this workstation.

    \b
    Example:
      trivet site list
    """
    from builder.site.folder import open_site
    from builder.site.reports import SiteLine, SiteList
    from builder.site.tables import print_sites

    lines = []
    for path in sorted(folder.glob("*/site.json")) if folder.is_dir() else ():
        try:
            opened = open_site(path.parent)
        except TrivetError as error:
            lines.append(SiteLine(path=str(path.parent), error=error.message))
            continue
        used = len({issue.slot for issue in opened.record.issues})
        lines.append(
            SiteLine(
                path=str(path.parent),
                name=opened.name,
                id=opened.id,
                mode=str(opened.plan.mode),
                slots=len(opened.plan.slots),
                issued=used,
            )
        )
    document = SiteList(sites=tuple(lines))
    if as_json:
        click.echo(document.model_dump_json(indent=2))
    else:
        print_sites(document, folder)


@site.command()
@click.argument("name")
@nodes_option
@folder_option
@json_option
def status(name: str, nodes: tuple[str, ...], folder: Path | None, as_json: bool) -> int:
    """Ask every node how it is; exit code 5 until all are formed.

    \b
    Example:
      trivet site status rack1
      trivet site status rack1 --node 192.0.2.11 --json
    """
    from builder.site.nodes import ask_all
    from builder.site.reports import site_status, whole_site
    from builder.site.tables import print_status

    opened = opened_site(name, folder)
    if nodes:
        document = site_status(opened, ask_all(opened, nodes), every_slot=False)
    else:
        document = whole_site(opened, browse_s=BROWSE_S)
    if as_json:
        click.echo(document.model_dump_json(indent=2))
    else:
        print_status(document)
    return document.exit_code


@site.command()
@click.argument("name")
@click.option("--ansible", is_flag=True, required=True, help="In Ansible's YAML form.")
@nodes_option
@folder_option
def inventory(name: str, ansible: bool, nodes: tuple[str, ...], folder: Path | None) -> None:
    """Print the nodes for another tool; only nodes that prove their slot, and hold it, are in it.

    \b
    Example:
      trivet site inventory rack1 --ansible > hosts.yaml
      ansible -i hosts.yaml all -m ping
    """
    import yaml

    from builder.site.inventory import ansible_inventory
    from builder.site.nodes import ask_all, ask_site, known_addresses
    from builder.site.reports import strays_of

    opened = opened_site(name, folder)
    reports = ask_all(opened, nodes) if nodes else ask_site(opened, known_addresses(opened, browse_s=BROWSE_S))
    stray = strays_of(opened, reports)
    found: dict[int, str] = {}
    for report in reports:
        if report.error:
            click.echo(f"trivet: {report.error}", err=True)
        if why := stray.get(report.node_id or ""):
            click.echo(f"trivet: {report.address} is left out: {why}", err=True)
        elif report.slot is not None:
            found.setdefault(report.slot, report.address)
    for place in opened.plan.slots:
        if place.number not in found:
            click.echo(f"trivet: slot {place.number} ({place.name}) was not found and is left out", err=True)
    click.echo(yaml.safe_dump(ansible_inventory(opened, found), sort_keys=False), nl=False)
