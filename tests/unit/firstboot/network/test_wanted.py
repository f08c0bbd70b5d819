"""From plan and links to networkd's files: golden files, written anew with TRIVET_GOLDEN=write, and properties."""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.network.cards import NoInterfaceError
from firstboot.network.files import link_of
from firstboot.network.wanted import chrony_sources, proxy_environment, want
from firstboot.plan import Bond, Bridge, GuestBridge, Interface, Method, NetworkPlan, StorageNetwork
from firstboot.seed import Overrides
from tests.unit.firstboot.network.machine import BRIDGE, SLOT, links, nic, wanted_on

GOLDEN = Path(__file__).parents[3] / "golden" / "network"

CARDS = (nic(2, "eno1"), nic(3, "eno2"), nic(4, "ens1f0np0"), nic(5, "ens1f1np1"))
BOND = Bond(name="bond0", members=(Interface(name="eno1"), Interface(name="eno2")), mtu=9000)

CASES: dict[str, NetworkPlan] = {
    "one-card": NetworkPlan(),
    "guest-bridge": BRIDGE,
    "static": NetworkPlan(
        method="static",
        gateway=IPv4Address("192.0.2.254"),
        dns=(IPv4Address("192.0.2.53"),),
        search=("example.org", "example.net"),
        mtu=9000,
    ),
    "dhcp-with-own-dns": NetworkPlan(dns=(IPv4Address("192.0.2.53"),), search=("example.org",)),
    "no-dhcp": NetworkPlan(method="link-local"),
    "dhcp-or-not": NetworkPlan(method="auto", guest_bridge=GuestBridge()),
    "storage-card": NetworkPlan(
        interface=Interface(name="eno*1"),
        storage=StorageNetwork(interface=Interface(name="ens1f0*"), method="dhcp", mtu=9000),
    ),
    "bond-and-vlans": NetworkPlan(
        interface=Interface(name="bond0"),
        vlan=10,
        method="static",
        gateway=IPv4Address("192.0.2.254"),
        guest_bridge=GuestBridge(),
        bonds=(BOND,),
        storage=StorageNetwork(vlan=20, method="static", mtu=9000),
        bridges=(
            Bridge(name="br-dmz", libvirt_network="dmz", vlan=30),
            Bridge(name="br-trunk", libvirt_network="trunk", interface=Interface(name="bond0"), mtu=9000),
            Bridge(name="br-lab", libvirt_network="lab", isolated=True),
        ),
    ),
    "lacp": NetworkPlan(
        bonds=(
            Bond(
                name="bond1",
                mode="802.3ad",
                members=(Interface(name="ens1f*"),),
                count=2,
                min_members=2,
                mtu=9000,
            ),
        ),
        storage=StorageNetwork(interface=Interface(name="bond1"), method="link-local", mtu=9000),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    files = wanted_on(CASES[case], *CARDS).files
    text = "".join(f"=== {name}\n{content}" for name, content in sorted(files.items()))
    golden = GOLDEN / f"{case}.txt"
    if os.environ.get("TRIVET_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_golden_file_is_tested() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(CASES)


def test_a_running_bond_keeps_its_mac_as_long_as_a_member_has_it() -> None:
    """networkd gives a running bond the MAC of a changed file: the DHCP lease would change."""
    plan = CASES["bond-and-vlans"]
    file = "10-trivet-bond0.netdev"
    second = nic(9, "bond0", kind="bond") | {"address": "52:54:00:00:00:03"}
    assert "MACAddress=52:54:00:00:00:03\n" in wanted_on(plan, *CARDS, second).files[file]
    strange = nic(9, "bond0", kind="bond") | {"address": "52:54:00:00:00:77"}
    assert "MACAddress=52:54:00:00:00:02\n" in wanted_on(plan, *CARDS, strange).files[file]


def test_an_exactly_named_member_has_its_file_before_it_is_there() -> None:
    files = wanted_on(CASES["bond-and-vlans"], nic(2, "eno1")).files
    assert "Bond=bond0\n" in files["10-trivet-eno2.network"]


def test_the_same_tag_on_two_cards_makes_two_links() -> None:
    plan = NetworkPlan(
        interface=Interface(name="eno1"),
        vlan=5,
        storage=StorageNetwork(interface=Interface(name="eno2"), vlan=5),
    )
    topology = wanted_on(plan, *CARDS).topology
    assert [use.vlan_link for use in topology.uses] == ["vlan5", "vlan5-2"]


METHODS: tuple[Method, ...] = ("dhcp", "static", "auto", "link-local")
rules = st.sampled_from(
    [
        Interface(),
        Interface(name="bond0"),
        Interface(name="eno1"),
        Interface(name="ens1f?np*"),
        Interface(mac="52:54:00:00:00:05"),
        Interface(name="absent0"),
    ]
)
vlans = st.sampled_from([None, None, 5, 6])
mtus = st.sampled_from([1500, 9000])
storages = st.none() | st.builds(
    StorageNetwork, interface=st.none() | rules, vlan=vlans, method=st.sampled_from(METHODS), mtu=mtus
)
bridges = st.builds(
    Bridge,
    name=st.sampled_from(["br1", "br2"]),
    libvirt_network=st.just("more"),
    interface=st.none() | rules,
    vlan=vlans,
    isolated=st.booleans(),
    mtu=mtus,
)
plans = st.builds(
    NetworkPlan,
    interface=rules,
    vlan=vlans,
    method=st.sampled_from(METHODS),
    mtu=mtus,
    guest_bridge=st.none() | st.just(GuestBridge()),
    bonds=st.sampled_from([(), (BOND,), (BOND.model_copy(update={"mode": "802.3ad"}),)]),
    storage=storages,
    bridges=st.lists(bridges, max_size=2, unique_by=lambda bridge: bridge.name).map(tuple),
)
machines = st.lists(st.sampled_from(CARDS), unique_by=lambda card: str(card["ifname"])).flatmap(st.permutations)


def parsed(text: str) -> dict[str, list[tuple[str, str]]]:
    """The file's sections; keys may repeat."""
    found: dict[str, list[tuple[str, str]]] = {}
    section = ""
    for line in text.splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
            assert section not in found
            found[section] = []
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals and value and section, line
            found[section].append((key, value))
    return found


@given(plans, machines)
def test_the_files_fit_together(plan: NetworkPlan, cards: list[dict[str, object]]) -> None:
    """What one file names another makes, or it is a card; nothing is in two places; no MTU is above the one below."""
    there = links(*cards)
    try:
        wanted = want(plan, SLOT, Overrides(), there)
    except NoInterfaceError as error:
        assert error.hint
        return
    netdevs = {link_of(name): parsed(text) for name, text in wanted.files.items() if name.endswith(".netdev")}
    networks = {link_of(name): parsed(text) for name, text in wanted.files.items() if name.endswith(".network")}
    names = {link.name for link in there} | {"eno1", "eno2"}
    assert set(netdevs) <= set(networks)
    assert set(networks) <= set(netdevs) | names
    mtus = {link: dict(sections["Link"])["MTUBytes"] for link, sections in networks.items()}
    below: dict[str, list[str]] = {}
    for link, sections in networks.items():
        assert sections["Match"] == [("Name", link)]
        masters = [value for key, value in sections["Network"] if key in ("Bond", "Bridge")]
        assert len(masters) <= 1
        for key, value in sections["Network"]:
            if key in ("Bond", "Bridge", "VLAN"):
                assert dict(netdevs[value]["NetDev"])["Kind"] == key.lower()
                below.setdefault(value, []).append(link)
    for link, sections in netdevs.items():
        assert dict(sections["NetDev"])["Name"] == link
        assert dict(sections["NetDev"])["MTUBytes"] == mtus[link]
        assert len(below.get(link, [])) <= (2 if link == "bond0" else 1)
    addressed = [
        link for link, sections in networks.items() if dict(sections["Network"])["LinkLocalAddressing"] != "no"
    ]
    assert wanted.management.link in addressed
    for use in wanted.topology.uses:
        assert mtus[use.link] == str(wanted.topology.mtus[use.link])
        if use.parent is not None and use.parent != "bond0":
            assert all(
                wanted.topology.mtus[link] <= wanted.topology.mtus[use.parent] for link in (use.link, use.port)
            )
    assert len({(use.parent, use.vlan) for use in wanted.topology.uses if use.parent}) == len(
        [use for use in wanted.topology.uses if use.parent]
    )
    assert {use.name for use in wanted.topology.uses}.isdisjoint(wanted.topology.faults)


@given(plans, machines)
def test_the_choice_does_not_depend_on_what_is_up(plan: NetworkPlan, cards: list[dict[str, object]]) -> None:
    def outcome(raw: list[dict[str, object]]) -> object:
        try:
            return dict(want(plan, SLOT, Overrides(), links(*raw)).files)
        except NoInterfaceError as error:
            return error.message

    assert outcome(cards) == outcome([card | {"flags": []} for card in reversed(cards)])


def test_time_servers_and_proxy() -> None:
    assert chrony_sources(("ntp.example.org",)) == "pool ntp.example.org iburst prefer\n"
    assert chrony_sources(("192.0.2.53",)) == "server 192.0.2.53 iburst prefer\n"
    assert proxy_environment(None) == ""
    assert "https_proxy=http://proxy:3128\n" in proxy_environment("http://proxy:3128")
