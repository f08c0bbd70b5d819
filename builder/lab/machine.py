"""One lab machine as libvirt sees it: the domain XML, rendered from the lab's state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import NAMESPACE_DNS, uuid5

from builder.lab.state import EMULATOR, LabFolder, LabState, NodeRecord
from builder.lab.template import render
from firstboot.errors import MissingError


@dataclass(frozen=True)
class Uefi:
    """OVMF's code and the variables that a machine starts with."""

    code: Path
    variables: Path


@dataclass(frozen=True)
class Disk:
    """One disk in the XML, in boot order."""

    path: Path
    format: Literal["qcow2", "raw"]
    target: str
    bus: str
    serial: str
    solid_state: bool = False


OVMF = Uefi(Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd"))


def find_uefi() -> Uefi:
    """OVMF of the host; raises MissingError with its package."""
    for path in (OVMF.code, OVMF.variables):
        if not path.is_file():
            raise MissingError(f"UEFI firmware {path} is not there", hint="sudo apt-get install ovmf")
    return OVMF


def guest_name(lab: str, node: str) -> str:
    """The machine's name in libvirt, where other people's guests may be."""
    return f"trivet-{lab}-{node}"


def guest_uuid(lab: str, node: str) -> str:
    """Always the same for a lab's node, so that defining it again changes it instead of colliding."""
    return str(uuid5(NAMESPACE_DNS, f"{node}.{lab}.lab.trivet.internal"))


def disks_of(folder: LabFolder, node: NodeRecord) -> list[Disk]:
    """System disk, data disks, seed: the first is the one that the firmware boots."""
    files = folder.node(node.number)
    disks = [Disk(files.system_disk, "qcow2", "vda", "virtio", f"system-{node.number}")]
    letters: dict[str, int] = {"virtio": 1, "sd": 0}
    for index, disk in enumerate(node.disks):
        prefix, family = ("vd", "virtio") if disk.bus == "virtio" else ("sd", "sd")
        target = f"{prefix}{chr(ord('a') + letters[family])}"
        letters[family] += 1
        disks.append(Disk(files.data_disk(index), "qcow2", target, disk.bus, disk.serial, disk.solid_state))
    if files.seed_disk.exists():
        target = f"vd{chr(ord('a') + letters['virtio'])}"
        disks.append(Disk(files.seed_disk, "raw", target, "virtio", f"seed-{node.number}"))
    return disks


def domain_xml(folder: LabFolder, state: LabState, node: NodeRecord) -> str:
    """libvirt's domain XML (https://libvirt.org/formatdomain.html) of one machine."""
    return render(
        "domain.xml.j2",
        state=state,
        node=node,
        name=guest_name(state.name, node.name),
        uuid=guest_uuid(state.name, node.name),
        files=folder.node(node.number),
        disks=disks_of(folder, node),
        uefi=OVMF if state.firmware == "uefi" else None,
        emulator=EMULATOR,
    )
