"""`trivet site`: make sites, slots and seeds; see their nodes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firstboot.errors import BadInputError, Exit, RefusedError, TrivetError

if TYPE_CHECKING:
    from builder.site.folder import Site
    from firstboot.seed import Seed

SITES = Path("sites")
BROWSE_S = 6.0
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
    passphrase = _read_passphrase(passphrase_file)
    if ask and passphrase is None:
        passphrase = click.prompt("Passphrase of the site root key", hide_input=True, confirmation_prompt=True)
    path = folder or SITES / name
    made = create_site(path, name, plan, passphrase=passphrase)
    click.echo(f"site {made.name} ({made.id}) with {len(plan.slots)} slots is in {path}")
    click.echo(f"  next: trivet site seed {name} 1 -o {plan.slots[0].name}.img")


@site.command()
@click.argument("name")
@click.argument("slot")
@click.option("-o", "--output", type=PATH, required=True, help="What to write.")
@format_option
@peer_option
@overrides_option
@click.option("--again", is_flag=True, help="Issue another seed for a slot that has one.")
@folder_option
@passphrase_option
def seed(
    name: str,
    slot: str,
    output: Path,
    form: str,
    peers: tuple[str, ...],
    overrides_path: Path | None,
    again: bool,
    folder: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Make the seed of a slot (number or name), and write down that it is used.

    \b
    Example:
      trivet site seed rack1 1 -o node1.img
    """
    from builder.site.slots import find_slot

    opened = _open(name, folder)
    number = find_slot(opened, slot).number
    _require_writable(output, form)
    made = _make_seed(
        opened, number, output, form, peers, overrides_path, again=again, passphrase_file=passphrase_file
    )
    click.echo(f"{output}: seed of slot {number} ({made.plan.slot(number).name}) of site {opened.name}")


def _require_writable(output: Path, form: str) -> None:
    from builder.site import seeds

    if form == "image":
        seeds.seed_partition(output)
    elif output.exists():
        raise RefusedError(f"{output} is there already", hint="choose another name")
    elif not output.parent.is_dir():
        raise BadInputError(f"folder {output.parent} is not there", hint=f"mkdir -p {output.parent}")


def _make_seed(
    opened: Site,
    number: int,
    output: Path,
    form: str,
    peers: tuple[str, ...],
    overrides_path: Path | None,
    *,
    again: bool,
    passphrase_file: Path | None,
) -> Seed:
    """Issue a seed and write it; the slot is recorded as used even when that fails."""
    from builder.site import seeds
    from builder.site.nodes import checked_address
    from builder.site.overrides import load_overrides
    from builder.site.slots import issue_seed
    from firstboot.seed import Overrides

    overrides = load_overrides(overrides_path, opened.plan) if overrides_path else Overrides()
    given = tuple(checked_address(peer) for peer in peers)
    overrides = overrides.model_copy(update={"peers": (*overrides.peers, *given)})
    made = issue_seed(
        opened,
        number,
        written_to=str(output.resolve()),
        overrides=overrides,
        again=again,
        passphrase=_unlocking(opened, passphrase_file),
    )
    writers: dict[str, Callable[[Path, Seed], None]] = {
        "disk": seeds.write_seed_disk,
        "file": seeds.write_seed_file,
        "image": seeds.write_seed_partition,
    }
    try:
        writers[form](output, made)
    except (OSError, TrivetError) as error:
        failure = TrivetError(
            f"{output} can't be written: {error}", hint="correct that, then add --again: the slot is recorded as used"
        )
        failure.exit_code = error.exit_code if isinstance(error, TrivetError) else Exit.FAILED
        raise failure from error
    return made


@site.group()
def slot() -> None:
    """See the slots of a site, and add further ones.

    \b
    Example:
      trivet site slot list rack1
      trivet site slot add rack1 -o node4.img
    """


@slot.command("add")
@click.argument("name")
@click.argument("slot_name", metavar="[SLOT]", required=False)
@click.option("-o", "--output", type=PATH, help="Write the slot's seed there, too.")
@format_option
@click.option("--zone", default="", help="Where its machine stands, if the site has zones.")
@click.option(
    "--address", metavar="ADDRESS/LENGTH", help="Its static address. Default: the one after the last slot's."
)
@click.option("--storage-address", metavar="ADDRESS/LENGTH", help="The same in the storage network.")
@peer_option
@overrides_option
@folder_option
@passphrase_option
def add_slot(
    name: str,
    slot_name: str | None,
    output: Path | None,
    form: str,
    zone: str,
    address: str | None,
    storage_address: str | None,
    peers: tuple[str, ...],
    overrides_path: Path | None,
    folder: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Add a slot to a site that was founded: the next number, named SLOT, or nodeN.

    Its machine joins once a member of the cluster knows the slot, too; it never founds, and has no part in the
    volumes that there are.

    \b
    Example:
      trivet site slot add rack1 -o node4.img
      trivet site slot add rack1 node4 --address 192.0.2.14/24 -o node4.img
    """
    from builder.site.laterslots import Wish
    from builder.site.laterslots import add_slot as add

    opened = _open(name, folder)
    if output is not None:
        _require_writable(output, form)
    opened, made = add(opened, Wish(slot_name, zone, address, storage_address))
    told = f"slot {made.number} ({made.name}) of site {opened.name}"
    order = f"trivet-node slot add {made.number} {made.name}"
    if output is None:
        click.echo(f"{told} was added; its seed: trivet site seed {name} {made.number} -o {made.name}.img")
        click.echo(f"  next, on any member: {order}")
        return
    given = _make_seed(
        opened, made.number, output, form, peers, overrides_path, again=False, passphrase_file=passphrase_file
    )
    click.echo(f"{output}: seed of {told}, which was added")
    click.echo(f"  next, on any member: {order} --seed {given.slot.seed_id}")


@slot.command("list")
@click.argument("name")
@folder_option
@json_option
def list_slots(name: str, folder: Path | None, as_json: bool) -> None:
    """Show every slot, and the seeds that were made for it.

    \b
    Example:
      trivet site slot list rack1
    """
    from builder.site.reports import slot_list
    from builder.site.tables import print_slots

    document = slot_list(_open(name, folder))
    if as_json:
        click.echo(document.model_dump_json(indent=2))
    else:
        print_slots(document)


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

    opened = _open(name, folder)
    asked = site_status(opened, ask_all(opened, nodes), every_slot=False) if nodes else None
    document = asked or whole_site(opened, browse_s=BROWSE_S)
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
    """Print the nodes for another tool; only nodes that prove their slot are in it.

    \b
    Example:
      trivet site inventory rack1 --ansible > hosts.yaml
      ansible -i hosts.yaml all -m ping
    """
    import yaml

    from builder.site.inventory import ansible_inventory
    from builder.site.nodes import fetch_host_keys, known_addresses

    opened = _open(name, folder)
    found: dict[int, str] = {}
    for address in list(nodes) or known_addresses(opened, browse_s=BROWSE_S):
        try:
            found.setdefault(fetch_host_keys(opened, address).role.slot, address)
        except TrivetError as error:
            click.echo(f"trivet: {error}", err=True)
    for place in opened.plan.slots:
        if place.number not in found:
            click.echo(f"trivet: slot {place.number} ({place.name}) was not found and is left out", err=True)
    click.echo(yaml.safe_dump(ansible_inventory(opened, found), sort_keys=False), nl=False)


def _open(name: str, folder: Path | None) -> Site:
    from builder.site.folder import open_site

    if folder is not None:
        return open_site(folder)
    return open_site(Path(name) if "/" in name else SITES / name)


def _unlocking(opened: Site, passphrase_file: Path | None) -> str | None:
    passphrase = _read_passphrase(passphrase_file)
    if passphrase is None and opened.has_passphrase and sys.stdin.isatty():
        return str(click.prompt(f"Passphrase of site {opened.name}", hide_input=True))
    return passphrase


def _read_passphrase(file: Path | None) -> str | None:
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
