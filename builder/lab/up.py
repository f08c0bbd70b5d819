"""`lab up`: from a plan and an image to running machines, step by step; every step looks before it acts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal

from builder.lab import (
    addressing,
    daemon,
    dhcp,
    disks,
    emulator,
    image,
    machine,
    ports,
    probe,
    resources,
    times,
    wiring,
)
from builder.lab.hypervisor import Hypervisor, Power
from builder.lab.serial import POWER_ON
from builder.lab.state import DiskRecord, LabFolder, LabState, NodeRecord, PortRecord, labs_root, load, save
from builder.lab.view import View
from firstboot.errors import BadInputError, RefusedError
from firstboot.plan import Plan, SlotPlan

STAGGER_S = 5.0
"""Between two power-ons: machines that boot in step all wait for the same core and disk."""


CPUS: dict[str, int] = {"kvm": 2, "tcg": 1}
"""Emulated CPUs wait for each other's locks: more of them than this machine has stall a node for minutes."""


@dataclass(frozen=True)
class Wish:
    """What a person asked for on the command line."""

    plan: Plan
    profile_folder: Path
    image_folder: Path
    site_folder: Path
    site_made: bool = False
    nodes: int | None = None
    memory_mib: int = 2048
    cpus: int | None = None
    """None: what suits the accelerator."""
    firmware: Literal["bios", "uefi"] = "bios"
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    clocks: Mapping[int, int] = field(default_factory=dict)
    """Seconds by which the clock of a node, by its number, is ahead."""


def design(
    name: str,
    wish: Wish,
    image_path: Path,
    used: list[IPv4Network],
    acceleration: probe.Acceleration,
    libvirt_uri: str,
    private_daemon: bool,
    other_qemu: emulator.OtherQemu | None = None,
) -> LabState:
    """The lab's state before anything of it exists: pure but for its arguments."""
    count = len(wish.plan.slots) if wish.nodes is None else wish.nodes
    if not 1 <= count <= len(wish.plan.slots):
        raise BadInputError(
            f"{count} nodes are asked for, but plan {wish.plan.name} has {len(wish.plan.slots)} slots",
            hint="give --nodes a number from 1 to the plan's slots, or change the profile's slots",
        )
    wiring.check(wish.plan, count)
    places = ports.design(name, wish.plan, used)
    records = disks.plan_disks(wish.plan)
    nodes = tuple(
        _node(name, wish.plan, slot, places, records).model_copy(
            update={"clock_ahead_s": wish.clocks.get(slot.number, 0)}
        )
        for slot in wish.plan.slots[:count]
    )
    return LabState(
        name=name,
        plan=wish.plan,
        image=image_path,
        image_key=image.build_key(image_path.parent),
        site_folder=wish.site_folder,
        site_made=wish.site_made,
        firmware=wish.firmware,
        accelerator=acceleration.kind,
        accelerator_reason=acceleration.reason,
        memory_mib=wish.memory_mib,
        cpus=wish.cpus or CPUS[acceleration.kind],
        switches=wiring.switches(name, wish.plan.network),
        ports=places,
        libvirt_uri=libvirt_uri,
        private_daemon=private_daemon,
        other_qemu=other_qemu.folder if other_qemu else None,
        nodes=nodes,
    )


def _node(
    lab: str, plan: Plan, slot: SlotPlan, places: tuple[PortRecord, ...], data: tuple[DiskRecord, ...]
) -> NodeRecord:
    """One machine, and where it will be reached: the plan's address, what DHCP offers, or a link-local one."""
    cards = wiring.cards(lab, plan, slot.number)
    home, *more = places
    if slot.address is not None:
        address = str(slot.address.ip)
    elif home.subnet is not None:
        address = str(addressing.offered_address(home.subnet, slot.number))
    else:
        address = addressing.link_local(cards[0].mac, home.link)
    offered = [addressing.offered_address(port.subnet, slot.number) for port in more if port.subnet is not None]
    return NodeRecord(
        number=slot.number,
        name=slot.name,
        serial=slot.match.serial or machine.guest_name(lab, slot.name),
        cards=cards,
        address=address,
        storage_address=offered[0] if offered else None,
        storage_mac=wiring.storage_mac(plan.network, cards) if offered else None,
        disks=data,
    )


def begin(folder: LabFolder, wish: Wish, view: View) -> LabState:
    """A new lab's state, saved; or the state of the lab that is there, when the wish is the same."""
    if folder.state_file.exists():
        state = load(folder)
        refuse_other(state, wish)
        view.step(f"going on with lab {state.name} in {folder.path}")
        return state
    source = image.find_image(wish.image_folder, wish.plan.name)
    if source is None:
        raise BadInputError(
            f"there is no image trivet-{wish.plan.name} in {wish.image_folder}",
            hint=f"build it: trivet build PROFILE -o {wish.image_folder}",
        )
    image.check_image(source)
    labs_root().mkdir(parents=True, exist_ok=True)
    count = len(wish.plan.slots) if wish.nodes is None else wish.nodes
    resources.check(count, wish.memory_mib, source, labs_root())
    if wish.firmware == "uefi":
        machine.find_uefi()
    view.step("asking whether KVM works here")
    acceleration = probe.choose(wish.accelerator)
    view.step(f"machines run under {acceleration.kind}: {acceleration.reason}")
    private = not daemon.system_daemon_runs()
    uri = daemon.private_uri(folder.libvirt) if private else daemon.SYSTEM_URI
    qemu = emulator.choose(acceleration.kind, private, view)
    state = design(folder.name, wish, source.resolve(), dhcp.routed_networks(), acceleration, uri, private, qemu)
    folder.path.mkdir(mode=0o711, exist_ok=True)
    save(folder, state)
    return state


def refuse_other(state: LabState, wish: Wish) -> None:
    """Raise RefusedError when the lab that is there is not what is asked for."""
    differences = []
    if state.plan != wish.plan:
        differences.append("another plan")
    if wish.nodes is not None and wish.nodes != len(state.nodes):
        differences.append(f"{len(state.nodes)} nodes")
    if wish.firmware != state.firmware:
        differences.append(f"firmware {state.firmware}")
    if wish.accelerator not in ("auto", state.accelerator):
        differences.append(f"accelerator {state.accelerator}")
    if (wish.memory_mib, wish.cpus or state.cpus) != (state.memory_mib, state.cpus):
        differences.append(f"{state.memory_mib} MiB and {state.cpus} CPUs a node")
    if any(node.clock_ahead_s != wish.clocks.get(node.number, 0) for node in state.nodes):
        differences.append("other clocks")
    if wish.site_folder.resolve() != state.site_folder.resolve():
        differences.append(f"site {state.site_folder}")
    if image.build_key(wish.image_folder) not in ("", state.image_key):
        differences.append("an older build of the image")
    if differences:
        raise RefusedError(
            f"lab {state.name} is there already, with {', '.join(differences)}",
            hint=f"take it down first: trivet lab down --name {state.name}; or give this one another --name",
        )


def make_ground(folder: LabFolder, state: LabState, view: View) -> None:
    """Bridge, DHCP, libvirt daemon: what machines stand on. What stands already is left alone."""
    home = state.home
    where = f"{home.subnet}, this machine is {home.address}" if home.subnet else "link-local addresses"
    view.step(f"isolated network on {home.link}: {where}")
    ports.build(folder, state.switches, state.ports)
    dhcp.serve(folder, state)
    if state.private_daemon and not daemon.private_runs(folder.libvirt):
        view.step("no libvirt daemon answers: running a private one")
        daemon.start_private(folder.libvirt, state.other_qemu)


def make_files(folder: LabFolder, state: LabState, view: View) -> LabState:
    """Base image and disks; afterwards the state says `made`."""
    if state.stage == "made":
        return state
    kind = image.check_image(state.image).format
    if not folder.base_image.exists():
        view.step(f"copying the image {state.image}")
        disks.keep_base(folder, image.check_image(state.image))
    for node in state.nodes:
        disks.make_disks(folder, state, node.number, kind)
        if state.firmware == "uefi":
            disks.copy_uefi_vars(machine.OVMF.variables, folder.node(node.number).uefi_vars)
    made = state.model_copy(update={"stage": "made"})
    save(folder, made)
    return made


def power_on(folder: LabFolder, state: LabState, node: NodeRecord, guests: Hypervisor) -> bool:
    """Define the machine anew and switch it on; false when it was on."""
    name = machine.guest_name(state.name, node.name)
    if guests.power(name) is Power.ON:
        return False
    guests.define(machine.domain_xml(folder, state, node))
    files = folder.node(node.number)
    files.console_socket.unlink(missing_ok=True)
    when = times.now()
    with files.serial_log.open("a") as log:
        log.write(f"\n{POWER_ON} {when.isoformat(timespec='seconds')}\n")
    guests.start(name)
    times.keep(folder, times.with_power_on(times.read(folder), node.name, when))
    return True


def power_on_all(
    folder: LabFolder, state: LabState, guests: Hypervisor, view: View, pause: Callable[[float], None]
) -> None:
    """Switch on what is off, one after the other, with a `pause` of some seconds between."""
    started = 0
    for node in state.nodes:
        if guests.power(machine.guest_name(state.name, node.name)) is Power.ON:
            continue
        if started:
            pause(STAGGER_S)
        power_on(folder, state, node, guests)
        view.step(f"{node.name}: power on")
        started += 1
