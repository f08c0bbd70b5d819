"""`trivet site seed` and `trivet site slot`: seeds of slots, further slots, and which there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.site.options import (
    PATH,
    folder_option,
    format_option,
    json_option,
    opened_site,
    overrides_option,
    passphrase_option,
    peer_option,
    unlocking,
)
from firstboot.errors import BadInputError, Exit, RefusedError, TrivetError

if TYPE_CHECKING:
    from builder.site.folder import Site
    from firstboot.seed import Seed


@click.command()
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

    opened = opened_site(name, folder)
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
    from builder.site.slots import issue_seed, seed_again
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
        passphrase=unlocking(opened, passphrase_file),
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
            f"{output} can't be written: {error}",
            hint=f"correct that; the slot is recorded as used, so then: {seed_again(opened, number)}",
        )
        failure.exit_code = error.exit_code if isinstance(error, TrivetError) else Exit.FAILED
        raise failure from error
    return made


@click.group()
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
@click.option("--zone", help="Where its machine stands, if the site has zones.")
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
    zone: str | None,
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

    opened = opened_site(name, folder)
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

    document = slot_list(opened_site(name, folder))
    if as_json:
        click.echo(document.model_dump_json(indent=2))
    else:
        print_slots(document)
