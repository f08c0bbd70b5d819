"""Where a link's IPv4 address comes from: the lines of its file, and which of its addresses is meant; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from firstboot.network.facts import Link
from firstboot.network.files import Lines
from firstboot.plan import Method, NetworkPlan, SlotPlan

PEERS_OPTION = 224
"""DHCP option, the first of those that RFC 3942 leaves to a site: where other nodes are; IPv4 addresses, four bytes
each, as in options 3, 6 and 42."""
METRIC = 512
"""Of the routes by DHCP: before those of cards that the plan does not name (systemd's own is 1024)."""


@dataclass(frozen=True)
class Addressing:
    """How one network gets its address. Only the `main` one has routes, name servers and IPv6."""

    method: Method
    static: IPv4Interface | None
    main: bool
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    search: tuple[str, ...] = field(default=())

    def of(self, link: Link) -> IPv4Interface | None:
        """Which of the link's addresses is this network's; none while it has none."""
        for address in link.ipv4:
            if self.method == "static" and self.static is not None:
                if address.ip == self.static.ip:
                    return address
            elif self.method == "auto" or address.is_link_local == (self.method == "link-local"):
                return address
        return None


def management(network: NetworkPlan, slot: SlotPlan) -> Addressing:
    """The management network's."""
    static = slot.address if network.method == "static" else None
    return Addressing(network.method, static, True, network.gateway, network.dns, network.search)


def storage(network: NetworkPlan, slot: SlotPlan) -> Addressing | None:
    """The storage network's, if the plan has one."""
    if network.storage is None:
        return None
    method = network.storage.method
    return Addressing(method, slot.storage_address if method == "static" else None, False)


def lines(addressing: Addressing | None) -> Lines:
    """What stands in [Network]; a link without addressing carries other links only."""
    if addressing is None:
        return [("LinkLocalAddressing", False), ("IPv6AcceptRA", False)]
    # networkd takes a link-local address beside DHCP only after that got no answer (systemd.network(5)).
    ipv4 = addressing.method in ("auto", "link-local")
    local = ("yes" if ipv4 else "ipv6") if addressing.main else ("ipv4" if ipv4 else "no")
    found: Lines = [("LinkLocalAddressing", local)]
    if not addressing.main:
        found.append(("IPv6AcceptRA", False))
    found.append(("DHCP", "ipv4" if addressing.method in ("dhcp", "auto") else "no"))
    if addressing.static is not None:
        found.append(("Address", addressing.static))
        found += [("Gateway", addressing.gateway)] if addressing.gateway else []
    found += [("DNS", server) for server in addressing.dns]
    found += [("Domains", " ".join(addressing.search))] if addressing.search else []
    return found


def dhcp_lines(addressing: Addressing | None) -> Lines:
    """What stands in [DHCPv4]."""
    if addressing is None or addressing.method not in ("dhcp", "auto"):
        return []
    # By MAC, not by machine-id: a reflashed machine keeps its address.
    found: Lines = [("ClientIdentifier", "mac"), ("RouteMetric", METRIC), ("UseMTU", False)]
    if addressing.main:
        found.append(("RequestOptions", PEERS_OPTION))
        return [*found, ("UseDNS", not addressing.dns), ("UseDomains", not addressing.search)]
    keys = ("UseGateway", "UseRoutes", "UseDNS", "UseDomains", "UseNTP", "UseHostname")
    return [*found, *((key, False) for key in keys)]
