"""What the network should be: pure, from plan, seed and links to systemd-networkd's files."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface

from firstboot.errors import TrivetError
from firstboot.network.facts import Link
from firstboot.plan import Interface, NetworkPlan, SlotPlan

PREFIX = "10-trivet-"
HEADER = "# Written by trivet-firstboot from the plan; changes are lost.\n"


@dataclass(frozen=True)
class Wanted:
    """The network card, the link with the management address (a bridge on the card, or the card), the files."""

    uplink: str
    management: str
    address: IPv4Interface | None
    files: dict[str, str]


class NoInterfaceError(TrivetError):
    """No link matches what the plan or the seed says of the management interface."""


def choose_uplink(interface: Interface, links: tuple[Link, ...]) -> Link:
    """The first wired link in kernel order that matches; raises NoInterfaceError that lists what there is."""
    wired = [link for link in links if link.wired]
    for link in wired:
        if interface.name not in (None, link.name):
            continue
        if interface.mac is None or interface.mac in (link.mac, link.permanent_mac):
            return link
    rule = ", ".join(
        f"{key} {value}" for key, value in (("name", interface.name), ("MAC", interface.mac)) if value is not None
    )
    there = ", ".join(f"{link.name} ({link.mac})" for link in wired) or "none"
    raise NoInterfaceError(
        f"no wired network interface{f' with {rule}' if rule else ''}; there is: {there}",
        hint="correct network.interface in the profile or the seed's override, or plug the card in",
    )


def want(network: NetworkPlan, slot: SlotPlan, interface: Interface | None, links: tuple[Link, ...]) -> Wanted:
    """The network of one node; `interface` is the seed's override."""
    uplink = choose_uplink(interface or network.interface, links)
    bridge = network.guest_bridge
    management = bridge.name if bridge else uplink.name
    files: dict[str, str] = {}
    if bridge:
        files[f"{PREFIX}bridge.netdev"] = _bridge(bridge.name, uplink.permanent_mac or uplink.mac, network.mtu)
        files[f"{PREFIX}uplink.network"] = _uplink(uplink.name, bridge.name, network.mtu)
    files[f"{PREFIX}management.network"] = _management(management, network, slot)
    return Wanted(uplink.name, management, slot.address if network.method == "static" else None, files)


def _bridge(name: str, mac: str, mtu: int) -> str:
    # The card's MAC keeps the DHCP lease; snooping without a querier would lose multicast between nodes.
    return (
        f"{HEADER}[NetDev]\nName={name}\nKind=bridge\nMACAddress={mac}\nMTUBytes={mtu}\n\n"
        "[Bridge]\nSTP=no\nMulticastSnooping=no\n"
    )


def _uplink(name: str, bridge: str, mtu: int) -> str:
    return (
        f"{HEADER}[Match]\nName={name}\n\n[Link]\nMTUBytes={mtu}\n\n"
        f"[Network]\nBridge={bridge}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    )


def _management(name: str, network: NetworkPlan, slot: SlotPlan) -> str:
    lines = [f"{HEADER}[Match]", f"Name={name}", "", "[Link]", f"MTUBytes={network.mtu}", "", "[Network]"]
    lines.append("LinkLocalAddressing=ipv6")
    if network.method == "dhcp":
        lines.append("DHCP=ipv4")
    elif slot.address is not None:
        lines += ["DHCP=no", f"Address={slot.address}"]
        lines += [f"Gateway={network.gateway}"] if network.gateway else []
    lines += [f"DNS={server}" for server in network.dns]
    lines += [f"Domains={' '.join(network.search)}"] if network.search else []
    if network.method == "dhcp":
        # By MAC, not by machine-id: a reflashed machine keeps its address.
        lines += ["", "[DHCPv4]", "ClientIdentifier=mac", f"UseDNS={_yes(not network.dns)}", "UseMTU=no"]
        lines += [f"UseDomains={_yes(not network.search)}"]
    return "\n".join(lines) + "\n"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def chrony_sources(ntp: tuple[str, ...]) -> str:
    """chrony.conf(5) sourcedir file: the plan's time servers."""
    return "".join(f"server {server} iburst\n" for server in ntp)


def proxy_environment(proxy: str | None) -> str:
    """Environment lines for units and shells; empty without a proxy."""
    if proxy is None:
        return ""
    keys = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return "".join(f"{key}={proxy}\n" for key in keys) + "no_proxy=localhost,127.0.0.1,.trivet.internal\n"
