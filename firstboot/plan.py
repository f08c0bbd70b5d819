"""The plan: everything that a site should be, complete, with every default filled in; format trivet-plan 1."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from firstboot.model import Model

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
"""Names of slots, volumes, brick classes and domains: a DNS label, short enough for LV names."""

MacAddress = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]

GIB = 1024**3


class Mode(StrEnum):
    """What a node is for."""

    VIRT = "virt"
    GLUSTER = "gluster"
    BOTH = "both"

    @property
    def has_gluster(self) -> bool:
        return self is not Mode.VIRT

    @property
    def has_virt(self) -> bool:
        return self is not Mode.GLUSTER


class VolumeType(StrEnum):
    """How a volume keeps its data."""

    REPLICATE = "replicate"
    ARBITER = "arbiter"
    DISTRIBUTE = "distribute"


class Match(Model):
    """Which machine may fill a slot; empty fields match anything, all that are given must match."""

    mac: MacAddress | None = None
    serial: str | None = None


class SlotPlan(Model):
    """One numbered place in the cluster. Numbers run from 1 without gaps."""

    number: int = Field(ge=1, le=300)
    name: Name
    zone: str = ""
    match: Match = Match()
    address: IPv4Interface | None = None


class Interface(Model):
    """Which network interface: the first in kernel order that matches; empty matches any wired one."""

    name: str | None = None
    mac: MacAddress | None = None


class GuestBridge(Model):
    """A Linux bridge for guests and the libvirt network on it. The management interface is its uplink."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,14}$")] = "br0"
    libvirt_network: Name = "guests"


class NetworkPlan(Model):
    """The management network, and the bridge on it. `gateway` only with method static."""

    interface: Interface = Interface()
    method: Literal["dhcp", "static"] = "dhcp"
    gateway: IPv4Address | None = None
    mtu: int = Field(default=1500, ge=1280, le=9216)
    guest_bridge: GuestBridge | None = None
    dns: tuple[IPv4Address, ...] = ()
    search: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    proxy: str | None = None


class DiskRule(Model):
    """Properties that a disk must have, all of those given; sizes in bytes, text patterns are shell globs."""

    min_size_bytes: int = Field(default=8 * GIB, ge=0)
    max_size_bytes: int | None = Field(default=None, ge=0)
    rotational: bool | None = None
    bus: Literal["virtio", "sata", "scsi", "nvme", "usb", "loop"] | None = None
    model: str | None = None
    serial: str | None = None
    wwn: str | None = None
    path: str | None = None


class BrickClass(Model):
    """Disks of one kind, `count` of them on every node. Layout plain = XFS on the disk, one volume a class."""

    name: Name
    rule: DiskRule = DiskRule()
    count: int = Field(default=1, ge=1, le=64)
    layout: Literal["thin", "plain"] = "thin"


class VolumePlan(Model):
    """A Gluster volume. `size_bytes` is each brick's size; none = an equal share of its disk."""

    name: Name
    type: VolumeType
    replica: int = Field(ge=1, le=3)
    bricks: Name
    size_bytes: int | None = Field(default=None, ge=GIB // 4)
    group: Literal["virt", "none"] = "virt"
    options: dict[str, str] = {}


class DomainPlan(Model):
    """A volume made known to a registrar under a name."""

    name: Name
    volume: Name
    registrar: Literal["libvirt"] = "libvirt"


class Access(Model):
    """Who may log in: SSH public keys of root, and optionally a crypt(5) hash for the console alone."""

    ssh_keys: tuple[str, ...] = ()
    console_password_hash: str | None = None


class ImagePlan(Model):
    """What the image is made of; sizes in bytes."""

    release: Literal["trixie"] = "trixie"
    elements: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    formats: tuple[Literal["raw", "qcow2"], ...] = ("raw", "qcow2")
    root_size_bytes: int = Field(default=2 * GIB, ge=GIB)


class Plan(Model):
    """A whole site, as every node of it sees it. It holds no secret."""

    format: Literal["trivet-plan"] = "trivet-plan"
    version: str = "1.0"
    name: Name
    mode: Mode
    image: ImagePlan
    slots: tuple[SlotPlan, ...]
    network: NetworkPlan
    bricks: tuple[BrickClass, ...]
    volumes: tuple[VolumePlan, ...]
    domains: tuple[DomainPlan, ...]
    access: Access

    def slot(self, number: int) -> SlotPlan:
        """The slot of that number; raises KeyError."""
        for slot in self.slots:
            if slot.number == number:
                return slot
        raise KeyError(number)

    def brick_class(self, name: str) -> BrickClass:
        """The brick class of that name; raises KeyError."""
        for brick_class in self.bricks:
            if brick_class.name == name:
                return brick_class
        raise KeyError(name)
