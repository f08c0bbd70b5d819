"""The lab's state folder: what one lab made, so that any later command can go on or clean up; format trivet-lab 1."""

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


class NodeRecord(Model):
    """One machine of the lab; it fills the slot of its number. `address` is what DHCP offers to its MAC."""

    number: int
    name: Name
    mac: MacAddress
    serial: str
    tap: str
    address: IPv4Address
    disks: tuple[DiskRecord, ...] = ()


class LabState(Model):
    """One lab. `stage` is `making` until every file and interface stands once; a command may then go on or undo."""

    format: Literal["trivet-lab"] = "trivet-lab"
    version: str = "1.0"
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
    bridge: str
    subnet: IPv4Network
    host_address: IPv4Address
    libvirt_uri: str
    private_daemon: bool
    nodes: tuple[NodeRecord, ...]

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
