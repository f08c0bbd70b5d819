"""The profile: what a site should be, as a person writes it; format 1, marked by `trivet: 1`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from builder.profile.network import Network
from builder.profile.parts import Part, Short, named
from builder.profile.scalars import (
    ELEMENT_PATTERN,
    OPTION_PATTERN,
    PACKAGE_PATTERN,
    Count,
    Flag,
    InterfaceAddress,
    Mac,
    Name,
    OptionValue,
    Size,
    parse_list,
)
from firstboot.plan import GIB, Mode, VolumeType

FORMAT = 1
MAX_SLOTS = 300

Package = Annotated[str, StringConstraints(pattern=PACKAGE_PATTERN, max_length=100)]
Element = Annotated[str, StringConstraints(pattern=ELEMENT_PATTERN, max_length=100)]
OptionName = Annotated[str, StringConstraints(pattern=OPTION_PATTERN, max_length=100)]


def _slots(value: object) -> object:
    """A number of slots stands for that many slots without properties."""
    if isinstance(value, bool | str | float):
        raise ValueError(f"{str(value)[:60]!r} is neither a number of slots nor a list of them")
    if value == []:
        raise ValueError("is empty; a site has at least one slot")
    if not isinstance(value, int):
        return value
    if not 1 <= value <= MAX_SLOTS:
        raise ValueError(f"a site has 1 to {MAX_SLOTS} slots, not {value}")
    return [{}] * value


class Image(Part):
    """What goes into the node image."""

    release: Literal["trixie"] = Field("trixie", description="Debian release.")
    elements: Annotated[tuple[Element, ...], BeforeValidator(parse_list)] = Field(
        (), description="More diskimage-builder elements, by name."
    )
    packages: Annotated[tuple[Package, ...], BeforeValidator(parse_list)] = Field(
        (), description="More Debian packages, by name."
    )
    formats: Annotated[tuple[Literal["raw", "qcow2"], ...], BeforeValidator(parse_list)] = Field(
        ("raw", "qcow2"), description="Files that a build makes."
    )
    root_size: Size = Field(4 * GIB, description="Size of the root partition, such as 4GiB; every image has two.")


class SlotMatch(Part):
    """Which machine may fill a slot; all that is given must match."""

    mac: Mac | None = Field(None, description="MAC address of any interface of the machine.")
    serial: Short | None = Field(None, description="The machine's serial number, as its firmware says it.")


class Slot(Part):
    """A numbered place in the cluster; numbers follow the order of the list."""

    name: Name | None = Field(None, description="Host name; without it node1, node2 and so on.")
    zone: Short | None = Field(None, description="Failure zone, such as a rack or a room.")
    match: SlotMatch = Field(SlotMatch(), description="Which machine may fill the slot.")
    address: InterfaceAddress | None = Field(
        None, description="Management address with prefix length, for method static."
    )
    storage_address: InterfaceAddress | None = Field(
        None, description="Storage address with prefix length, for storage.method static."
    )


class Rule(Part):
    """What a disk must be to become a brick; text may hold shell globs."""

    min_size: Size | None = Field(None, description="Smallest disk, such as 100GiB.")
    max_size: Size | None = Field(None, description="Largest disk.")
    rotational: Flag | None = Field(None, description="true: spinning disks, false: flash.")
    bus: Literal["virtio", "sata", "scsi", "nvme", "usb", "loop"] | None = Field(
        None, description="How it is attached."
    )
    model: Short | None = Field(None, description="Model, a glob such as Samsung*.")
    serial: Short | None = Field(None, description="Serial number, a glob.")
    wwn: Short | None = Field(None, description="World wide name, a glob.")
    path: Short | None = Field(None, description="Device path, a glob such as /dev/disk/by-path/pci-*-nvme-1.")


class Bricks(Part):
    """A class of brick disks: every node has `count` of them."""

    name: Name = Field(description="Name that volumes use.")
    rule: Rule = Field(Rule(), description="Which disks.")
    count: Annotated[Count, Field(ge=1, le=64)] = Field(1, description="How many on each node.")
    layout: Literal["thin", "plain"] = Field(
        "thin", description="thin: LVM thin, many volumes, snapshots. plain: XFS on the disk, one volume."
    )


class Volume(Part):
    """A Gluster volume; it has a brick on every disk of its brick class."""

    name: Name = Field(description="Name of the volume.")
    type: VolumeType = Field(VolumeType.REPLICATE, description="How the data is kept.")
    replica: Annotated[Count, Field(ge=1, le=3)] | None = Field(
        None, description="Copies; 3 for replicate and arbiter, 1 for distribute."
    )
    bricks: Name | None = Field(None, description="Brick class; needed where there is more than one.")
    size: Size | None = Field(None, description="Size of each brick; without it an equal share of the disk.")
    group: Literal["virt", "none"] = Field("virt", description="Gluster's option group; virt is for guest images.")
    options: Annotated[dict[OptionName, OptionValue], Field(max_length=64)] = Field(
        {}, description="More Gluster options."
    )


class Domain(Part):
    """A volume that is made known to a registrar."""

    name: Name = Field(description="Name of the domain.")
    volume: Name | None = Field(None, description="Volume; without it the one of the same name.")
    registrar: Literal["libvirt"] = Field("libvirt", description="Who learns of it.")


class Access(Part):
    """Who may log in as root."""

    ssh_keys: Annotated[tuple[str, ...], BeforeValidator(parse_list)] = Field(
        (), description="SSH public keys, a line each; the site's own admin key is added."
    )
    console_password_hash: str | None = Field(
        None, description="crypt(5) hash for the console alone; make one with: mkpasswd"
    )


class Profile(Part):
    """A whole profile."""

    trivet: Literal[1] = Field(description="Format of the profile; always 1.")
    name: Name = Field(description="Name of the profile.")
    mode: Mode = Field(Mode.BOTH, description="What nodes are for: virt, gluster, or both.")
    image: Image = Field(Image(), description="What goes into the node image.")
    slots: Annotated[
        tuple[Annotated[Slot, BeforeValidator(named, json_schema_input_type=Slot | str)], ...],
        Field(max_length=MAX_SLOTS),
        BeforeValidator(
            _slots,
            json_schema_input_type=Annotated[int, Field(ge=1, le=MAX_SLOTS)]
            | Annotated[list[Slot | Name], Field(min_length=1, max_length=MAX_SLOTS)],
        ),
    ] = Field(description="How many nodes, or a list of them.")
    network: Network = Field(Network(), description="The networks of the nodes.")
    bricks: Annotated[
        tuple[Annotated[Bricks, BeforeValidator(named, json_schema_input_type=Bricks | str)], ...],
        Field(max_length=16),
    ] = Field((), description="Classes of disks that become bricks.")
    volumes: Annotated[
        tuple[Annotated[Volume, BeforeValidator(named, json_schema_input_type=Volume | str)], ...],
        Field(max_length=64),
    ] = Field((), description="Gluster volumes.")
    domains: Annotated[
        tuple[Annotated[Domain, BeforeValidator(named, json_schema_input_type=Domain | str)], ...],
        Field(max_length=64),
    ] = Field((), description="Storage domains.")
    access: Access = Field(Access(), description="Who may log in as root.")
