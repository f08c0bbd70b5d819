"""`trivet lab`: its verbs and options."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import click

from firstboot.errors import Exit

FOLDER = click.Path(path_type=Path, file_okay=False)
Command = TypeVar("Command", bound=Callable[..., object])


def _which(command: Command) -> Command:
    return click.option("--name", metavar="LAB", help="Which lab; needed only when there are several.")(command)


def _as_json(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


@click.group()
def lab() -> None:
    """Boot a site as nested virtual machines on an isolated network.

    \b
    Example:
      trivet lab up profiles/lab.yaml
      trivet lab ssh 1
      trivet lab down
    """


@lab.command()
@click.argument("profile", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--nodes", type=int, help="Start only the first N slots; a site forms when all are there.")
@click.option("--name", metavar="LAB", help="The lab's name; default: the profile's name.")
@click.option("--image", "image_folder", type=FOLDER, help="The build's output; default: build/<profile name>.")
@click.option("--site", "site_folder", type=FOLDER, help="The site folder; default: sites/<lab name>.")
@click.option("--memory", "memory_mib", default=2048, show_default=True, help="MiB a node.")
@click.option("--cpus", type=click.IntRange(min=1), help="CPUs a node; default: 2 under KVM, 1 emulated.")
@click.option("--firmware", type=click.Choice(["bios", "uefi"]), default="bios", show_default=True)
@click.option(
    "--accel",
    type=click.Choice(["auto", "kvm", "tcg"]),
    default="auto",
    show_default=True,
    help="auto: KVM where a probe guest proves it, else emulation.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    help="Seconds to wait; progress extends it.  " "Default: 900 under KVM, 2700 emulated.",
)
@click.option(
    "--clock",
    "clocks",
    type=(int, int),
    multiple=True,
    metavar="NODE SECONDS",
    help="Start that node with a clock so far ahead; negative: behind. Can be given again.",
)
@click.option("--no-wait", is_flag=True, help="Leave once the machines are on.")
@_as_json
def up(
    profile: Path,
    nodes: int | None,
    name: str | None,
    image_folder: Path | None,
    site_folder: Path | None,
    memory_mib: int,
    cpus: int | None,
    firmware: Literal["bios", "uefi"],
    accel: Literal["auto", "kvm", "tcg"],
    timeout_s: float | None,
    clocks: tuple[tuple[int, int], ...],
    no_wait: bool,
    as_json: bool,
) -> int:
    """Boot the image of a profile as virtual machines and wait until they have formed the cluster.

    Builds the image and makes the site where they are missing. Goes on with a lab that is half up or stopped.
    Exit code 5: the machines run, but the cluster has not formed in time.

    \b
    Example:
      trivet lab up profiles/lab.yaml --memory 1536
    """
    from builder.lab import session
    from builder.lab.state import lab_folder
    from builder.lab.up import Wish
    from builder.profile.load import compile_plan, load_profile

    plan = compile_plan(load_profile(profile))
    folder = lab_folder(name or plan.name)
    wish = Wish(
        plan=plan,
        profile_folder=profile.parent,
        image_folder=image_folder or Path("build", plan.name),
        site_folder=(site_folder or Path("sites", folder.name)).absolute(),
        nodes=nodes,
        memory_mib=memory_mib,
        cpus=cpus,
        firmware=firmware,
        accelerator=accel,
        clocks=dict(clocks),
    )
    status = session.bring_up(folder, wish, timeout_s=timeout_s, wait=not no_wait)
    session.print_status(status, as_json=as_json)
    if not as_json:
        session.print_next(folder)
    return Exit.OK


@lab.command()
@_which
@_as_json
def status(name: str | None, as_json: bool) -> int:
    """Show nodes, peers, volumes and storage domains; exit code 5 while the cluster is not formed.

    \b
    Example:
      trivet lab status --json
    """
    from builder.lab import members, session
    from builder.lab.state import load, only_lab

    folder = only_lab(name)
    found, _ = members.collect(folder, load(folder))
    session.print_status(found, as_json=as_json)
    return Exit.OK if found.formed else Exit.WAITING


@lab.command(name="times")
@_which
@_as_json
def times_(name: str | None, as_json: bool) -> None:
    """Show the time from power-on to formed, split by phase.

    \b
    Example:
      trivet lab times
    """
    from rich.console import Console

    from builder.lab import members, times
    from builder.lab.state import load, only_lab

    folder = only_lab(name)
    _, answers = members.collect(folder, load(folder))
    kept = times.with_statuses(times.read(folder), answers)
    if as_json:
        click.echo(kept.model_dump_json(indent=1))
    else:
        Console().print(times.table(kept))


@lab.command()
@click.argument("number", type=int)
@_which
def console(number: int, name: str | None) -> None:
    """Join the terminal to a node's serial console; Ctrl-] leaves.

    \b
    Example:
      trivet lab console 1
    """
    from builder.lab.console import join
    from builder.lab.state import load, only_lab

    folder = only_lab(name)
    join(folder.node(load(folder).node(number).number).console_socket, number)


@lab.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_which
@click.argument("number", type=int)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(number: int, command: tuple[str, ...], name: str | None) -> None:
    """Log in to a node as root, or run a command there; the exit code is the command's.

    \b
    Example:
      trivet lab ssh 1
      trivet lab ssh --name lab 2 gluster volume info
    """
    from builder.lab import members
    from builder.lab.state import load, only_lab

    folder = only_lab(name)
    state = load(folder)
    argv = members.login(folder, state, state.node(number), command)
    os.execvp(argv[0], argv)  # noqa: S606  (the person's terminal belongs to ssh from here on)


@lab.command()
@click.argument("number", type=int)
@_which
def stop(number: int, name: str | None) -> None:
    """Pull a node's plug: no shutdown, as in a power cut.

    \b
    Example:
      trivet lab stop 2
    """
    from builder.lab import session
    from builder.lab.state import only_lab

    session.stop_node(only_lab(name), number)
    click.echo(f"node {number} is off; switch it on: trivet lab start {number}")


@lab.command()
@click.argument("number", type=int)
@_which
def start(number: int, name: str | None) -> None:
    """Switch a node on again.

    \b
    Example:
      trivet lab start 2
    """
    from builder.lab import session
    from builder.lab.state import only_lab

    session.start_node(only_lab(name), number)
    click.echo(f"node {number} is on; see it come back: trivet lab status")


@lab.command()
@click.argument("number", type=int)
@click.argument("card", type=int)
@_which
def unplug(number: int, card: int, name: str | None) -> None:
    """Pull the network cable of a node's card; cards are numbered from 1, management's first.

    \b
    Example:
      trivet lab unplug 2 1
    """
    from builder.lab import session
    from builder.lab.state import only_lab

    session.change_cable(only_lab(name), number, card, connected=False)
    click.echo(f"card {card} of node {number} has no cable; plug it in again: trivet lab plug {number} {card}")


@lab.command()
@click.argument("number", type=int)
@click.argument("card", type=int)
@_which
def plug(number: int, card: int, name: str | None) -> None:
    """Plug the network cable of a node's card in again.

    \b
    Example:
      trivet lab plug 2 1
    """
    from builder.lab import session
    from builder.lab.state import only_lab

    session.change_cable(only_lab(name), number, card, connected=True)
    click.echo(f"card {card} of node {number} has its cable")


@lab.command()
@_which
@click.option("--keep-site", is_flag=True, help="Keep the site folder, even if the lab made it.")
def down(name: str | None, keep_site: bool) -> None:
    """Remove a lab with everything it made: machines, disks, network, and its site unless --keep-site.

    A lab that is not there, or half made, is fine.

    \b
    Example:
      trivet lab down
    """
    from builder.lab.down import take_down
    from builder.lab.state import lab_folder, lab_names, locked, only_lab

    if name is None and not lab_names():
        click.echo("there is no lab")
        return
    folder = lab_folder(name) if name else only_lab(None)
    with locked(folder):
        removed = take_down(folder, keep_site=keep_site)
    click.echo(f"lab {folder.name}: " + ("removed " + ", ".join(removed) if removed else "nothing was there"))


@lab.command(name="list")
@_as_json
def list_(as_json: bool) -> None:
    """List the labs of this machine.

    \b
    Example:
      trivet lab list
    """
    from builder.lab import session

    session.print_labs(as_json=as_json)
