"""The lab's verbs as a person runs them: each takes the lock, looks at the state, acts, and says what to do next."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from builder.lab import image, members, report, resources, seeds, times, up, watch
from builder.lab.hypervisor import connected as connected_to
from builder.lab.machine import guest_name
from builder.lab.serial import Progress
from builder.lab.state import LabFolder, LabState, lab_folder, lab_names, load, locked
from builder.lab.view import View
from firstboot.errors import TrivetError

LIMITS = {"kvm": watch.Limits(900, 300), "tcg": watch.Limits(2700, 900)}
"""By accelerator: several times what three nodes need on two slow cores."""


def bring_up(folder: LabFolder, wish: up.Wish, *, timeout_s: float | None, wait: bool) -> report.LabStatus:
    """Build, make the site, make the lab, switch on, wait; what is there already is taken as it is."""
    with locked(folder), View(tuple(slot.name for slot in wish.plan.slots[: wish.nodes])) as view:
        if not folder.state_file.exists() and image.find_image(wish.image_folder, wish.plan.name) is None:
            resources.check_memory(len(wish.plan.slots) if wish.nodes is None else wish.nodes, wish.memory_mib)
            view.step(f"building the image of {wish.plan.name} in {wish.image_folder}")
            from builder.image.build import build_image

            build_image(wish.plan, wish.image_folder, base=wish.profile_folder)
        wish = replace(wish, site_made=not wish.site_folder.exists())
        state = up.begin(folder, wish, view)
        seeds.make_site(state, view)
        up.make_ground(folder, state, view)
        state = up.make_files(folder, state, view)
        seeds.plug_in(folder, state, view)
        with connected_to(state.libvirt_uri) as guests:
            watcher = watch.Watcher(folder, state, view)
            up.power_on_all(folder, state, guests, view, watcher.pause)
            limits = LIMITS[state.accelerator]
            if timeout_s is not None:
                limits = watch.Limits(timeout_s, timeout_s / 3)
            if wait:
                found = watcher.until_formed(guests, limits, lambda: _confirm(folder, state))
                view.step("formed")
                return found
        return members.collect(folder, state)[0]


def _confirm(folder: LabFolder, state: LabState) -> report.LabStatus:
    status, answers = members.collect(folder, state)
    times.keep(folder, times.with_statuses(times.read(folder), answers))
    return status


def stop_node(folder: LabFolder, number: int) -> None:
    """Power off hard."""
    state = load(folder)
    node = state.node(number)
    with locked(folder), connected_to(state.libvirt_uri) as guests:
        guests.power_off(guest_name(state.name, node.name))


def start_node(folder: LabFolder, number: int) -> None:
    """Power on, after bringing back what the machine stands on."""
    state = load(folder)
    node = state.node(number)
    with locked(folder), View((node.name,)) as view:
        up.make_ground(folder, state, view)
        with connected_to(state.libvirt_uri) as guests:
            up.power_on(folder, state, node, guests)
        view.progress(node.name, Progress(stage="firmware"))


def change_cable(folder: LabFolder, number: int, card: int, *, connected: bool) -> None:
    """Plug in or pull the cable of a node's card (from 1)."""
    state = load(folder)
    node, mac = state.node(number), state.card(number, card).mac
    with locked(folder), connected_to(state.libvirt_uri) as guests:
        guests.connect(guest_name(state.name, node.name), mac, connected=connected)


def print_status(status: report.LabStatus, *, as_json: bool) -> None:
    """On stdout."""
    if as_json:
        click.echo(status.model_dump_json(indent=1))
        return
    console = Console()
    for table in report.tables(status):
        console.print(table)


def as_typed(command: str) -> str:
    """A `trivet` command as the person who ran this one can type it: with sudo, by its path if not in PATH."""
    _, _, rest = command.partition(" ")
    found = shutil.which("trivet")
    program = "trivet" if found and Path(found) == Path(sys.argv[0]).resolve() else sys.argv[0]
    return " ".join((*(("sudo",) if "SUDO_USER" in os.environ else ()), program, rest)).strip()


def print_next(folder: LabFolder) -> None:
    """What to type next."""
    name = "" if lab_names() == [folder.name] else f" --name {folder.name}"
    click.echo("what to type next:")
    for command, text in (
        (f"trivet lab ssh{name} 1", "log in to the first node"),
        (f"trivet lab console 1{name}", "its serial console; Ctrl-] leaves"),
        (f"trivet lab status{name}", "nodes, volumes, storage domains"),
        (f"trivet lab times{name}", "power-on to formed, split by phase"),
        (f"trivet lab stop 2{name}", "pull a plug, and watch the cluster cope"),
        (f"trivet lab down{name}", "remove all of it"),
    ):
        click.echo(f"  {as_typed(command):<{36 + len(as_typed('trivet')) - len('trivet')}} {text}")


def print_labs(*, as_json: bool) -> None:
    """Name, nodes that run, folder; a lab whose state can't be read is named with the reason."""
    labs = []
    for name in lab_names():
        folder = lab_folder(name)
        try:
            state = load(folder)
            running = sum(power == "on" for power in members.powers(state).values())
            labs.append(report.LabLine(name=name, nodes=len(state.nodes), running=running))
        except TrivetError as error:
            labs.append(report.LabLine(name=name, nodes=0, running=0, problem=error.message))
    if as_json:
        click.echo(report.LabList(labs=tuple(labs)).model_dump_json(indent=1))
        return
    if not labs:
        click.echo("there is no lab")
    for entry in labs:
        text = entry.problem or f"{entry.running} of {entry.nodes} nodes on"
        click.echo(f"{entry.name:<20} {text}   {lab_folder(entry.name).path}")
