"""What the network should be: pure, from plan, seed and links to systemd-networkd's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from firstboot.network import address, bond
from firstboot.network.address import Addressing
from firstboot.network.facts import Link
from firstboot.network.files import Lines, file_text, netdev, netdev_name, network_name
from firstboot.network.topology import MANAGEMENT, STORAGE, Topology, Use, resolve
from firstboot.plan import NetworkPlan, SlotPlan
from firstboot.seed import Overrides


@dataclass(frozen=True)
class Wanted:
    """One node's network: what is on what, how the addressed networks get their addresses, the files by name."""

    topology: Topology
    addressing: Mapping[str, Addressing]
    files: Mapping[str, str]

    @property
    def management(self) -> Use:
        use = self.topology.use(MANAGEMENT)
        assert use is not None, "resolve() gives a management network or raises"
        return use

    @property
    def storage(self) -> Use | None:
        """The storage network; none also where the machine can't have it."""
        return self.topology.use(STORAGE)

    @property
    def made(self) -> frozenset[str]:
        """The bonds and bridges: networkd makes them from their files alone, VLANs only with the link below."""
        bridges = (use.bridge for use in self.topology.uses if use.bridge is not None)
        return frozenset((*bridges, *(bonded.name for bonded in self.topology.bonds)))

    @property
    def netdevs(self) -> dict[str, str]:
        """The files of links that are made."""
        return {name: text for name, text in self.files.items() if name.endswith(".netdev")}

    def address_of(self, name: str, links: Sequence[Link]) -> str | None:
        """The address that the network of that name has now."""
        use = self.topology.use(name)
        for link in links:
            if use is not None and link.name == use.link and (found := self.addressing[name].of(link)) is not None:
                return str(found.ip)
        return None


def want(network: NetworkPlan, slot: SlotPlan, overrides: Overrides, links: Sequence[Link]) -> Wanted:
    """The network of one node; raises NoInterfaceError where the management network has no card."""
    topology = resolve(network, overrides, links)
    storage = address.storage(network, slot)
    addressing = {MANAGEMENT: address.management(network, slot)} | ({STORAGE: storage} if storage else {})
    return Wanted(topology, addressing, _files(topology, addressing))


def _files(topology: Topology, addressing: Mapping[str, Addressing]) -> dict[str, str]:
    files: dict[str, str] = {}
    by_link = {use.link: addressing[use.name] for use in topology.uses if use.name in addressing}
    for bonded in topology.bonds:
        files[netdev_name(bonded.name)] = bond.file(bonded)
        for member in bonded.member_names:
            files[network_name(member)] = _link(topology, member, None, [("Bond", bonded.name)])
    for use in topology.uses:
        if use.vlan_link is not None:
            files[netdev_name(use.vlan_link)] = netdev(
                use.vlan_link, "vlan", "", use.mtu, ("VLAN", [("Id", use.vlan)])
            )
        if use.bridge is not None:
            # The card's MAC keeps the DHCP lease; snooping without a querier would lose multicast between nodes.
            settings: Lines = [("STP", False), ("MulticastSnooping", False)]
            files[netdev_name(use.bridge)] = netdev(use.bridge, "bridge", use.mac, use.mtu, ("Bridge", settings))
    parents = [use.parent for use in topology.uses] + [bonded.name for bonded in topology.bonds]
    made = [link for use in topology.uses for link in (use.vlan_link, use.bridge)]
    for link in dict.fromkeys(link for link in (*parents, *made) if link is not None):
        carried: Lines = [("Bridge", use.bridge) for use in topology.uses if use.bridge and use.port == link]
        carried += [("VLAN", use.vlan_link) for use in topology.on(link) if use.vlan_link]
        files[network_name(link)] = _link(topology, link, by_link.get(link), carried)
    return files


def _link(topology: Topology, name: str, addressing: Addressing | None, carried: Lines) -> str:
    """The .network file of one link."""
    return file_text(
        [
            ("Match", [("Name", name)]),
            ("Link", [("MTUBytes", topology.mtus[name])]),
            ("Network", [*carried, *address.lines(addressing)]),
            ("DHCPv4", address.dhcp_lines(addressing)),
        ]
    )


def chrony_sources(ntp: tuple[str, ...]) -> str:
    """chrony.conf(5) sourcedir file: the plan's time servers. A name may stand for several, an address does not."""
    return "".join(f"{'server' if _is_address(server) else 'pool'} {server} iburst prefer\n" for server in ntp)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def proxy_environment(proxy: str | None) -> str:
    """Environment lines for units and shells; empty without a proxy."""
    if proxy is None:
        return ""
    keys = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return "".join(f"{key}={proxy}\n" for key in keys) + "no_proxy=localhost,127.0.0.1,.trivet.internal\n"
