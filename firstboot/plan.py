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

LinkName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,14}$")]
"""Name of a bond or bridge; the kernel takes 15 characters."""

Mtu = Annotated[int, Field(ge=1280, le=9216)]
Vlan = Annotated[int, Field(ge=1, le=4094)]

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
    storage_address: IPv4Interface | None = None
    later: bool = False
    """It was added to a founded site: its machine joins, and the volumes are laid out without it."""


class Interface(Model):
    """Which network card: all that is given must match, and then only one card may; name, driver and pci are globs.

    Where nothing is given, the first wired card in kernel order that nothing else names. In place of a card, `name`
    may be that of a bond.
    """

    name: str | None = None
    mac: MacAddress | None = None
    driver: str | None = None
    pci: str | None = None


class Bond(Model):
    """Cards as one link. `count` is how many cards the members' rules must match; none = at least one each."""

    name: LinkName
    mode: Literal["active-backup", "802.3ad"] = "active-backup"
    members: tuple[Interface, ...]
    count: int | None = Field(default=None, ge=1, le=16)
    min_members: int = Field(default=1, ge=1, le=16)
    mtu: Mtu = 1500
    miimon_ms: int = Field(default=100, ge=10, le=10_000)
    lacp_rate: Literal["slow", "fast"] = "fast"
    hash: Literal["layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4"] = "layer3+4"


class GuestBridge(Model):
    """A Linux bridge for guests and the libvirt network on it. The management interface is its uplink."""

    name: LinkName = "br0"
    libvirt_network: Name = "guests"


class Bridge(GuestBridge):
    """A guest bridge with an uplink of its own, or without one: isolated. No interface = the management's, tagged."""

    name: LinkName
    libvirt_network: Name
    interface: Interface | None = None
    vlan: Vlan | None = None
    isolated: bool = False
    mtu: Mtu = 1500


Method = Literal["dhcp", "static", "auto", "link-local"]
"""Where an IPv4 address comes from. auto: by DHCP, link-local (RFC 3927) as long as no server answers."""


class StorageNetwork(Model):
    """The network of peers and bricks. No interface = the management's, tagged."""

    interface: Interface | None = None
    vlan: Vlan | None = None
    method: Method = "dhcp"
    mtu: Mtu = 1500


class NetworkPlan(Model):
    """The management network and the bridge on it, bonds, the storage network, more bridges.

    `gateway` only with method static.
    """

    interface: Interface = Interface()
    vlan: Vlan | None = None
    method: Method = "dhcp"
    gateway: IPv4Address | None = None
    mtu: Mtu = 1500
    guest_bridge: GuestBridge | None = None
    bonds: tuple[Bond, ...] = ()
    storage: StorageNetwork | None = None
    bridges: tuple[Bridge, ...] = ()
    dns: tuple[IPv4Address, ...] = ()
    search: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    proxy: str | None = None

    @property
    def all_bridges(self) -> tuple[GuestBridge, ...]:
        """Every guest bridge, the one on the management network first."""
        return (*((self.guest_bridge,) if self.guest_bridge else ()), *self.bridges)


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
    version: str = "1.2"
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
