"""The links and addresses that the kernel has now, from `ip -json`."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_interface

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from firstboot.run import run

NOT_WIRED = ("vnet", "tap", "macvtap", "wl", "ww")
"""Prefixes of the names that libvirt gives to guests' ports, and systemd to radios."""


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AddressFact(_Fact):
    """An address on a link; scope is global, link or host."""

    local: str = ""
    prefixlen: int = 0
    scope: str = "global"


class LinkInfo(_Fact):
    """What a virtual link is, such as bridge or veth; none for hardware."""

    info_kind: str | None = None


class Link(_Fact):
    """A network link; `flags` has LOWER_UP when there is a carrier."""

    index: int = Field(alias="ifindex")
    name: str = Field(alias="ifname")
    type: str = Field(default="", alias="link_type")
    mac: str = Field(default="", alias="address")
    permanent_mac: str | None = Field(default=None, alias="permaddr")
    mtu: int = 1500
    flags: tuple[str, ...] = ()
    info: LinkInfo = Field(default=LinkInfo(), alias="linkinfo")
    addresses: tuple[AddressFact, ...] = Field(default=(), alias="addr_info")

    @property
    def carrier(self) -> bool:
        return "LOWER_UP" in self.flags

    @property
    def wired(self) -> bool:
        """A network card, or the end of a cable between namespaces; not a bridge, tunnel or guest's port."""
        ether = self.type == "ether" and self.info.info_kind in (None, "veth")
        return ether and not self.name.startswith(NOT_WIRED)

    @property
    def ipv4(self) -> tuple[IPv4Interface, ...]:
        found = [ip_interface(f"{a.local}/{a.prefixlen}") for a in self.addresses if a.scope == "global" and a.local]
        return tuple(address for address in found if isinstance(address, IPv4Interface))


_LINKS: TypeAdapter[tuple[Link, ...]] = TypeAdapter(tuple[Link, ...])


def parse_links(text: str) -> tuple[Link, ...]:
    """The output of `ip -json -details address show`, in kernel order."""
    return tuple(sorted(_LINKS.validate_json(text or "[]"), key=lambda link: link.index))


def read_links() -> tuple[Link, ...]:
    return parse_links(run(["ip", "-json", "-details", "address", "show"], timeout_s=30).stdout)


def reachable_addresses(links: tuple[Link, ...], management: str | None) -> tuple[str, ...]:
    """The addresses of the link that has the management address, IPv4 first: where this node announces itself."""
    for link in links:
        texts = [address.local for address in link.addresses if address.local and address.scope in ("global", "link")]
        if management in texts:
            return tuple(sorted(texts, key=lambda text: (":" in text, text)))
    return ()
