"""The profile's section `network`: management, bonds, storage and guest bridges, as a person writes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from builder.profile.parts import Host, Part, Short, named
from builder.profile.scalars import (
    BRIDGE_PATTERN,
    INTERFACE_PATTERN,
    PCI_PATTERN,
    Address,
    Count,
    Flag,
    InterfaceAddress,
    Mac,
    Name,
    parse_list,
)
from firstboot.plan import Method

LinkName = Annotated[str, StringConstraints(pattern=BRIDGE_PATTERN)]
Mtu = Annotated[Count, Field(ge=1280, le=9216)]
Vlan = Annotated[Count, Field(ge=1, le=4094)]

TIME_SERVERS = ("2.debian.pool.ntp.org",)
"""Debian's own, as its chrony package has them."""


class NetworkInterface(Part):
    """Which network card: all that is given must match, and only one card may. A bond goes by its name."""

    name: Annotated[str, StringConstraints(pattern=INTERFACE_PATTERN)] | None = Field(
        None, description="Name or glob, such as eno1 or ens*f0; or a bond's name."
    )
    mac: Mac | None = Field(None, description="The card's own MAC address; only a site of one slot has just one.")
    driver: Short | None = Field(None, description="Kernel driver, a glob such as ixgbe.")
    pci: Annotated[str, StringConstraints(pattern=PCI_PATTERN)] | None = Field(
        None, description="PCI address, a glob such as 0000:03:00.*."
    )


Card = Annotated[NetworkInterface, BeforeValidator(named, json_schema_input_type=NetworkInterface | str)]


class Bond(Part):
    """Cards that work as one link."""

    name: LinkName = Field(description="Name of the bond, such as bond0.")
    mode: Literal["active-backup", "802.3ad"] = Field(
        "active-backup",
        description="active-backup works with any switch; 802.3ad (LACP) needs one set up for it.",
    )
    members: Annotated[tuple[Card, ...], Field(min_length=1, max_length=16), BeforeValidator(parse_list)] = Field(
        description="Rules of its cards, such as [eno1, eno2]; each matches one card at least."
    )
    count: Annotated[Count, Field(ge=1, le=16)] | None = Field(
        None, description="How many cards its rules match together; without it any number."
    )
    min_members: Annotated[Count, Field(ge=1, le=16)] = Field(
        1, description="With fewer cards that have a link the bond counts as down."
    )
    mtu: Mtu | None = Field(None, description="MTU; without it what its networks need.")
    miimon: Annotated[Count, Field(ge=10, le=10_000)] = Field(
        100, description="How often links are looked at, in milliseconds."
    )
    lacp_rate: Literal["slow", "fast"] = Field("fast", description="LACP packets each second or each 30; 802.3ad.")
    hash: Literal["layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4"] = Field(
        "layer3+4", description="By what connections are spread over the cards; 802.3ad."
    )


class Storage(Part):
    """The network of Gluster's peers and bricks, apart from management."""

    interface: Card | None = Field(None, description="Card or bond; without it, with vlan, that of management.")
    vlan: Vlan | None = Field(None, description="VLAN tag.")
    method: Method = Field("dhcp", description="Where the address comes from.")
    first_address: InterfaceAddress | None = Field(
        None, description="Slot 1's address with prefix length, for method static; the others follow."
    )
    mtu: Mtu | None = Field(None, description="MTU; without it that of management.")


class GuestBridge(Part):
    """The bridge for guests on the management network, and the libvirt network on it."""

    name: LinkName = Field("br0", description="The Linux bridge.")
    libvirt_network: Name = Field("guests", description="The libvirt network's name.")


class Bridge(Part):
    """A bridge for guests on an interface or VLAN of its own, or isolated."""

    name: LinkName = Field(description="The Linux bridge.")
    libvirt_network: Name | None = Field(None, description="The libvirt network's name; without it the bridge's.")
    interface: Card | None = Field(None, description="Card or bond; without it, with vlan, that of management.")
    vlan: Vlan | None = Field(None, description="VLAN tag.")
    isolated: Flag = Field(False, description="true: no uplink; guests on one node reach each other alone.")
    mtu: Mtu | None = Field(None, description="MTU; without it that of management.")


class Network(Part):
    """The networks of the nodes."""

    interface: Card = Field(NetworkInterface(), description="Management interface; without it the first wired one.")
    vlan: Vlan | None = Field(None, description="VLAN tag of the management network.")
    method: Method = Field(
        "dhcp", description="Where the management address comes from; auto: DHCP, else a link-local address."
    )
    first_address: InterfaceAddress | None = Field(
        None, description="Slot 1's address with prefix length, for method static; the others follow."
    )
    gateway: Address | None = Field(None, description="Default gateway, for method static.")
    mtu: Mtu = Field(1500, description="MTU of the management network.")
    guest_bridge: Annotated[GuestBridge, BeforeValidator(named, json_schema_input_type=GuestBridge | str)] | None = (
        Field(None, description="Bridge for guests on the management network.")
    )
    bonds: Annotated[tuple[Bond, ...], Field(max_length=8)] = Field((), description="Cards that work as one link.")
    storage: Storage | None = Field(None, description="A network of its own for Gluster.")
    bridges: Annotated[
        tuple[Annotated[Bridge, BeforeValidator(named, json_schema_input_type=Bridge | str)], ...],
        Field(max_length=64),
    ] = Field((), description="More bridges for guests.")
    dns: Annotated[tuple[Address, ...], BeforeValidator(parse_list)] = Field((), description="DNS servers.")
    search: Annotated[tuple[Host, ...], BeforeValidator(parse_list)] = Field((), description="DNS search domains.")
    ntp: Annotated[tuple[Host, ...], BeforeValidator(parse_list)] = Field(
        TIME_SERVERS, description="Time servers; with none the nodes keep a time of their own."
    )
    proxy: Short | None = Field(None, description="HTTP proxy of the nodes, such as http://proxy.example:3128.")
