"""The lab's state folder: what one lab made, so that any later command can go on or clean up; format trivet-lab 2."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Literal, TextIO

from pydantic import Field

from firstboot.document import Source, load_document
from firstboot.errors import BadInputError, RefusedError
from firstboot.files import write_atomic
from firstboot.model import Model
from firstboot.plan import MacAddress, Name, Plan

NAME_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,30}")
EMULATOR = Path("/usr/bin/qemu-system-x86_64")


class DiskRecord(Model):
    """A data disk of one node; `bus` is libvirt's word."""

    serial: str
    bus: Literal["virtio", "sata", "scsi", "usb"]
    size_bytes: int
    solid_state: bool = False


class SwitchRecord(Model):
    """A switch of the lab: a bridge of this machine, with a MAC that stays."""

    bridge: str
    mac: MacAddress
    mtu: int


class PortRecord(Model):
    """This machine's place in a network of the lab: `link` is the switch's bridge or, tagged, an access port of it.

    Without a subnet it has link-local addresses alone.
    """

    switch: SwitchRecord
    link: str
    vlan: int | None = None
    mtu: int
    subnet: IPv4Network | None = None
    address: IPv4Address | None = None
    serves_dhcp: bool = False


class Cable(Model):
    """A cable straight to another machine: frames go by UDP between two ports of this machine's loopback."""

    local_port: int
    remote_port: int


class CardRecord(Model):
    """A network card: at a switch of the lab, or at a cable."""

    mac: MacAddress
    tap: str
    bridge: str | None
    mtu: int
    cable: Cable | None = None


class NodeRecord(Model):
    """One machine of the lab; it fills the slot of its number.

    `address` is where it will be reached: the plan's, what DHCP offers to its MAC, or link-local with its scope.
    """

    number: int
    name: Name
    serial: str
    cards: tuple[CardRecord, ...] = Field(min_length=1)
    address: str
    storage_address: IPv4Address | None = None
    """What DHCP offers to `storage_mac` in the storage network, if it is served there."""
    storage_mac: MacAddress | None = None
    disks: tuple[DiskRecord, ...] = ()
    clock_ahead_s: int = 0
    """How far its clock is ahead of this machine's at each power-on."""

    @property
    def mac(self) -> str:
        """The first card's MAC: that of the management network."""
        return self.cards[0].mac


class LabState(Model):
    """One lab. `stage` is `making` until every file and interface stands once; a command may then go on or undo."""

    format: Literal["trivet-lab"] = "trivet-lab"
    version: str = "2.0"
    name: str
    stage: Literal["making", "made"] = "making"
    plan: Plan
    image: Path
    image_key: str = ""
    """The build's key (build.json) when the lab took its copy; empty for an image that no build describes."""
    site_folder: Path
    site_made: bool
    firmware: Literal["bios", "uefi"]
    accelerator: Literal["kvm", "tcg"]
    accelerator_reason: str
    other_qemu: Path | None = None
    """Folder of the QEMU that runs the machines in place of this machine's own; see builder/lab/emulator.py."""
    memory_mib: int = Field(ge=256)
    cpus: int = Field(ge=1)
    switches: tuple[SwitchRecord, ...] = Field(min_length=1)
    ports: tuple[PortRecord, ...] = Field(min_length=1)
    """The management network's first, by which nodes are reached."""
    libvirt_uri: str
    private_daemon: bool
    nodes: tuple[NodeRecord, ...]

    @property
    def home(self) -> PortRecord:
        """Where this machine is in the management network."""
        return self.ports[0]

    def card(self, number: int, card: int) -> CardRecord:
        """A node's card, from 1; raises BadInputError naming those there are."""
        cards = self.node(number).cards
        if not 1 <= card <= len(cards):
            there = ", ".join(f"{index} ({one.mac})" for index, one in enumerate(cards, 1))
            raise BadInputError(f"node {number} has no card {card}", hint=f"its cards are {there}")
        return cards[card - 1]

    def node(self, number: int) -> NodeRecord:
        """The node of that number; raises BadInputError naming those there are."""
        for node in self.nodes:
            if node.number == number:
                return node
        there = ", ".join(f"{node.number} ({node.name})" for node in self.nodes)
        raise BadInputError(f"lab {self.name} has no node {number}", hint=f"its nodes are {there}")


@dataclass(frozen=True)
class NodeFolder:
    """Files of one machine."""

    path: Path

    @property
    def system_disk(self) -> Path:
        return self.path / "system.qcow2"

    @property
    def seed_disk(self) -> Path:
        return self.path / "seed.img"

    @property
    def uefi_vars(self) -> Path:
        return self.path / "uefi-vars.fd"

    @property
    def serial_log(self) -> Path:
        return self.path / "serial.log"

    @property
    def console_socket(self) -> Path:
        return self.path / "console.sock"

    def data_disk(self, index: int) -> Path:
        return self.path / f"data-{index + 1}.qcow2"


@dataclass(frozen=True)
class LabFolder:
    """Where one lab's files are. The folder's name is the lab's name."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def state_file(self) -> Path:
        return self.path / "lab.json"

    @property
    def base_image(self) -> Path:
        return self.path / "base.img"

    @property
    def libvirt(self) -> Path:
        return self.path / "libvirt"

    @property
    def dhcp(self) -> Path:
        return self.path / "dhcp"

    @property
    def ports(self) -> Path:
        """Pid files of access ports."""
        return self.path / "ports"

    @property
    def times_file(self) -> Path:
        return self.path / "times.json"

    def node(self, number: int) -> NodeFolder:
        return NodeFolder(self.path / f"node{number}")


def labs_root() -> Path:
    """Where all labs of this machine are."""
    return Path(os.environ.get("TRIVET_LAB") or "/var/lib/trivet-lab")


def lab_folder(name: str) -> LabFolder:
    """The folder of the lab of that name, which need not exist; raises BadInputError for a bad name."""
    if not NAME_PATTERN.fullmatch(name):
        raise BadInputError(
            f"lab name {name!r} is not allowed", hint="use lower case letters, digits and dashes, at most 31"
        )
    return LabFolder(labs_root() / name)


def lab_names() -> list[str]:
    """Names of all labs that have a state folder, half-made ones included."""
    root = labs_root()
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if path.is_dir() and NAME_PATTERN.fullmatch(path.name))


def only_lab(name: str | None) -> LabFolder:
    """The named lab, or the only one there is; raises BadInputError when that does not say which."""
    names = lab_names()
    if name is None and len(names) == 1:
        return lab_folder(names[0])
    if name is None:
        if not names:
            raise BadInputError("there is no lab", hint="start one: trivet lab up profiles/lab.yaml")
        raise BadInputError(f"there are several labs: {', '.join(names)}", hint=f"say which: --name {names[0]}")
    folder = lab_folder(name)
    if not folder.path.is_dir():
        have = f"; there are {', '.join(names)}" if names else ""
        raise BadInputError(f"there is no lab {name}{have}", hint="see them: trivet lab list")
    return folder


def save(folder: LabFolder, state: LabState) -> None:
    """Write the lab's state durably."""
    write_atomic(folder.state_file, state.model_dump_json(indent=1) + "\n", mode=0o600)


def load(folder: LabFolder) -> LabState:
    """Read the lab's state; raises BadInputError when it is missing, damaged or of a newer major version."""
    hint = f"remove what is left of it: trivet lab down --name {folder.name}"
    source = Source(
        f"state of lab {folder.name} ({folder.state_file})",
        hint=hint,
        version_hint=hint,
        reader="this Trivet",
    )
    try:
        return load_document(folder.state_file, LabState, source)
    except FileNotFoundError:
        raise BadInputError(f"lab {folder.name} is half made: {folder.state_file} is missing", hint=hint) from None


@contextmanager
def locked(folder: LabFolder) -> Iterator[None]:
    """Hold the lab against other commands that change it; raises RefusedError when one is at work."""
    folder.path.parent.mkdir(parents=True, exist_ok=True)
    path = folder.path.parent / f".{folder.name}.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise RefusedError(
                f"another trivet command is working on lab {folder.name} (process {holder})",
                hint="wait until it has ended, or interrupt it",
            ) from None
        if not _is_current(file, path):
            raise RefusedError(f"lab {folder.name} is being taken down", hint="run this again")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            if not folder.path.exists():
                path.unlink(missing_ok=True)


def _is_current(file: TextIO, path: Path) -> bool:
    """Whether the locked file is still the one of that name: the holder before may have removed it."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
