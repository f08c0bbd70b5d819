"""The links and addresses that the kernel has now, from `ip -json` and sysfs."""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Interface, IPv4Network, IPv6Network, ip_interface
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from firstboot.run import run

SYSFS = Path("/sys/class/net")
PCI_ADDRESS = re.compile(r"/([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])(?=/)")

NOT_WIRED = ("vnet", "tap", "macvtap", "wl", "ww")
"""Prefixes of the names that libvirt gives to guests' ports, and systemd to radios."""


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AddressFact(_Fact):
    """An address on a link; scope is global, link or host."""

    local: str = ""
    prefixlen: int = 0
    scope: str = "global"
    tentative: bool = False
    """IPv6: it is not sure yet that nobody else has it; nothing can be sent from it."""


class Partner(_Fact):
    """The other side of an 802.3ad bond; a zero MAC is nobody. `aggregator` is the one that carries traffic."""

    aggregator: int = 0
    mac: str = Field(default="00:00:00:00:00:00", alias="partner_mac")

    @property
    def answers(self) -> bool:
        return self.mac != "00:00:00:00:00:00"


class LinkData(_Fact):
    """A VLAN's tag, or what an 802.3ad bond knows of its other side."""

    vlan: int | str | None = Field(default=None, alias="id")
    partner: Partner | None = Field(default=None, alias="ad_info")


class MemberData(_Fact):
    """A bond's member: UP when its link can carry traffic, and the aggregator that it is in (802.3ad)."""

    mii_status: str = ""
    aggregator: int | None = Field(default=None, alias="ad_aggregator_id")


class LinkInfo(_Fact):
    """What a virtual link is, such as bridge or veth; none for hardware. And what it is as a member of another."""

    info_kind: str | None = None
    data: LinkData = Field(default=LinkData(), alias="info_data")
    member: MemberData = Field(default=MemberData(), alias="info_slave_data")


class Link(_Fact):
    """A network link; `flags` has LOWER_UP when there is a carrier. `master` is the bond or bridge that it is in."""

    index: int = Field(alias="ifindex")
    name: str = Field(alias="ifname")
    type: str = Field(default="", alias="link_type")
    mac: str = Field(default="", alias="address")
    permanent_mac: str | None = Field(default=None, alias="permaddr")
    mtu: int = 1500
    flags: tuple[str, ...] = ()
    master: str | None = None
    info: LinkInfo = Field(default=LinkInfo(), alias="linkinfo")
    addresses: tuple[AddressFact, ...] = Field(default=(), alias="addr_info")
    driver: str | None = None
    pci: str | None = None
    """PCI address of the card, such as 0000:03:00.1; a virtio card's is that of its PCI device."""

    @property
    def carrier(self) -> bool:
        return "LOWER_UP" in self.flags

    @property
    def hardware_mac(self) -> str:
        """The card's own MAC: members of a bond all use that of the bond."""
        return self.permanent_mac or self.mac

    @property
    def wired(self) -> bool:
        """A network card, or the end of a cable between namespaces; not a bridge, tunnel or guest's port."""
        ether = self.type == "ether" and self.info.info_kind in (None, "veth")
        return ether and not self.name.startswith(NOT_WIRED)

    @property
    def reachable(self) -> tuple[AddressFact, ...]:
        """The addresses that others on the link can reach."""
        facts = (address for address in self.addresses if address.local and address.scope in ("global", "link"))
        return tuple(fact for fact in facts if not fact.tentative)

    @property
    def ipv4(self) -> tuple[IPv4Interface, ...]:
        """The addresses that reach further than this link, then those that do not (RFC 3927)."""
        found = [(a.scope, ip_interface(f"{a.local}/{a.prefixlen}")) for a in self.addresses if a.local]
        ipv4 = [(scope, address) for scope, address in found if isinstance(address, IPv4Interface)]
        wide = [address for scope, address in ipv4 if scope == "global" and not address.is_link_local]
        return (*wide, *(address for scope, address in ipv4 if scope != "host" and address.is_link_local))


_LINKS: TypeAdapter[tuple[Link, ...]] = TypeAdapter(tuple[Link, ...])


def parse_links(text: str) -> tuple[Link, ...]:
    """The output of `ip -json -details address show`, in kernel order."""
    return tuple(sorted(_LINKS.validate_json(text or "[]"), key=lambda link: link.index))


def read_links() -> tuple[Link, ...]:
    """The links, with what sysfs says of their hardware."""
    links = parse_links(run(["ip", "-json", "-details", "address", "show"], timeout_s=30).stdout)
    return tuple(link.model_copy(update=read_hardware(link.name)) if link.wired else link for link in links)


def read_hardware(name: str, sysfs: Path = SYSFS) -> dict[str, str | None]:
    """Driver and PCI address of a card; none where it has no such thing."""
    device = sysfs / name / "device"
    driver = device / "driver"
    addresses = PCI_ADDRESS.findall(f"{os.path.realpath(device)}/")
    return {
        "driver": Path(os.path.realpath(driver)).name if driver.exists() else None,
        "pci": addresses[-1] if addresses else None,
    }


def link_with(links: tuple[Link, ...], management: str | None) -> Link | None:
    """The link that has the management address."""
    return next((link for link in links if any(fact.local == management for fact in link.reachable)), None)


def reachable_addresses(links: tuple[Link, ...], management: str | None) -> tuple[str, ...]:
    """The addresses of the link that has the management address, IPv4 first: where this node announces itself."""
    link = link_with(links, management)
    texts = [fact.local for fact in link.reachable] if link is not None else []
    return tuple(sorted(texts, key=lambda text: (":" in text, text)))


def networks_of(link: Link) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks that the link's addresses are in."""
    return tuple(ip_interface(f"{fact.local}/{fact.prefixlen}").network for fact in link.reachable)
