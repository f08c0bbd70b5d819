"""What a network lacks, what is degraded, and what networkd is asked to do again."""

from __future__ import annotations

from typing import Any

import pytest

from firstboot.network.condition import faults, missing, unapplied
from firstboot.network.facts import reachable_addresses
from firstboot.network.overview import networks
from firstboot.network.topology import MANAGEMENT, STORAGE
from firstboot.plan import Bond, Bridge, Interface, NetworkPlan, StorageNetwork
from tests.unit.firstboot.network.machine import BRIDGE, links, member, nic, wanted_on

CARD = nic(2, "ens3")
STATIC = NetworkPlan(method="static")
AUTO, LINK_LOCAL = NetworkPlan(method="auto"), NetworkPlan(method="link-local")
BONDED = NetworkPlan(
    interface=Interface(name="bond0"),
    bonds=(Bond(name="bond0", members=(Interface(name="eno1"), Interface(name="eno2"))),),
)
LACP = BONDED.model_copy(update={"bonds": (BONDED.bonds[0].model_copy(update={"mode": "802.3ad"}),)})
STORAGE_CARD = NetworkPlan(storage=StorageNetwork(interface=Interface(name="ens4"), method="static", mtu=9000))


def lack(plan: NetworkPlan, *raw: dict[str, object]) -> str:
    answer = missing(wanted_on(plan, *raw), links(*raw))
    return answer.message if answer else ""


def faults_of(plan: NetworkPlan, *raw: dict[str, object]) -> list[str]:
    return faults(wanted_on(plan, *raw), links(*raw))


def bond(index: int = 9, *addresses: str, partner: str | None = None, up: bool = True) -> dict[str, object]:
    data: dict[str, Any] = {"ad_info": {"aggregator": 1, "partner_mac": partner}} if partner else {}
    raw = nic(index, "bond0", *addresses, up=up)
    return raw | {"linkinfo": {"info_kind": "bond", "info_data": data}, "address": "52:54:00:00:00:02"}


def members(one: bool = True, other: bool = True, aggregator: int = 1) -> tuple[dict[str, object], ...]:
    second = member(3, "eno2", "bond0", up=other, of=2, aggregator=aggregator)
    return (member(2, "eno1", "bond0", up=one, of=2), second)


def test_what_is_missing_is_named() -> None:
    assert lack(BRIDGE, CARD) == "bridge br0 on ens3 is not there yet"
    assert "no DHCP server answered on ens3" in lack(NetworkPlan(), CARD)
    assert "has no carrier" in lack(NetworkPlan(), nic(2, "ens3", "192.0.2.77/24", up=False))
    assert lack(STATIC, nic(2, "ens3", "198.51.100.1/24")) == "ens3 does not have its address 192.0.2.1/24 yet"
    assert lack(STATIC, nic(2, "ens3", "192.0.2.1/24")) == ""
    assert lack(NetworkPlan(), nic(2, "ens3", "192.0.2.77/24", "fe80::1/64")) == ""
    tagged = NetworkPlan(vlan=10)
    assert lack(tagged, CARD) == "vlan10 (VLAN 10 on ens3) is not there yet"
    isolated = NetworkPlan(bridges=(Bridge(name="br1", libvirt_network="more", isolated=True),))
    assert lack(isolated, nic(2, "ens3", "192.0.2.77/24")) == "br1: bridge br1 is not there yet"


@pytest.mark.parametrize(
    ("plan", "addresses", "taken"),
    [
        (NetworkPlan(), ["169.254.7.7/16"], None),
        (AUTO, ["169.254.7.7/16"], "169.254.7.7"),
        (AUTO, ["169.254.7.7/16", "192.0.2.9/24"], "192.0.2.9"),
        (LINK_LOCAL, ["192.0.2.9/24"], None),
        (LINK_LOCAL, ["192.0.2.9/24", "169.254.7.7/16"], "169.254.7.7"),
        (STATIC, ["192.0.2.9/24", "192.0.2.1/24"], "192.0.2.1"),
        (NetworkPlan(), ["fe80::1/64"], None),
    ],
)
def test_each_method_takes_its_own_addresses(plan: NetworkPlan, addresses: list[str], taken: str | None) -> None:
    raw = nic(2, "ens3", *addresses)
    assert wanted_on(plan, raw).address_of(MANAGEMENT, links(raw)) == taken
    assert (lack(plan, raw) == "") is (taken is not None)


def test_a_method_without_dhcp_says_so() -> None:
    assert lack(LINK_LOCAL, CARD) == "ens3 has no link-local address yet"
    assert lack(AUTO, CARD) == "ens3 has no DHCP or link-local address yet"


def test_storage_is_waited_for_too() -> None:
    home = nic(2, "ens3", "192.0.2.7/24")
    assert lack(STORAGE_CARD, home).startswith("storage: no wired network interface with name ens4; there is: ens3")
    assert lack(STORAGE_CARD, home, nic(3, "ens4", up=False)) == "storage: ens4 (52:54:00:00:00:03) has no carrier"
    assert lack(STORAGE_CARD, home, nic(3, "ens4")) == "storage: ens4 does not have its address 198.51.100.1/24 yet"
    raw = (home, nic(3, "ens4", "198.51.100.1/24", mtu=9000))
    assert lack(STORAGE_CARD, *raw) == ""
    assert wanted_on(STORAGE_CARD, *raw).address_of(STORAGE, links(*raw)) == "198.51.100.1"
    assert faults_of(STORAGE_CARD, *raw) == []


def test_a_bond_works_with_the_members_it_needs_and_names_the_others() -> None:
    home = bond(9, "192.0.2.7/24")
    assert lack(BONDED, *members(), home) == ""
    assert faults_of(BONDED, *members(), home) == []
    assert lack(BONDED, *members(other=False), home) == ""
    assert faults_of(BONDED, *members(other=False), home) == [
        "bond0 is degraded: eno2 (52:54:00:00:00:03) has no carrier"
    ]
    assert faults_of(BONDED, members()[0], home) == ["bond0 is degraded: no wired network interface with name eno2"]
    assert faults_of(BONDED, members()[0], nic(3, "eno2"), home) == [
        "bond0 is degraded: eno2 (52:54:00:00:00:03) is not in it yet"
    ]


def test_a_bond_with_too_few_members_is_waited_for() -> None:
    assert lack(BONDED, nic(2, "eno1"), nic(3, "eno2")) == "bond bond0 is not there yet"
    both = BONDED.bonds[0].model_copy(update={"min_members": 2})
    needs_both = BONDED.model_copy(update={"bonds": (both,)})
    assert lack(needs_both, *members(other=False), bond(9, "192.0.2.7/24")) == (
        "bond0 has 1 of at least 2 members with carrier: eno2 (52:54:00:00:00:03) has no carrier"
    )


def test_a_switch_that_does_not_speak_lacp_is_named() -> None:
    nobody, somebody = "00:00:00:00:00:00", "00:11:22:33:44:55"
    home = bond(9, "192.0.2.7/24", partner=nobody)
    assert faults_of(LACP, *members(), home) == [
        "bond0 is degraded: nobody speaks LACP on eno1 (52:54:00:00:00:02), eno2 (52:54:00:00:00:03)"
    ]
    home = bond(9, "192.0.2.7/24", partner=somebody)
    assert faults_of(LACP, *members(), home) == []
    assert faults_of(LACP, *members(aggregator=2), home) == [
        "bond0 is degraded: eno2 (52:54:00:00:00:03): the other side does not take it into the same aggregate"
    ]


def test_another_bridge_without_its_vlan_is_a_fault_and_no_wait() -> None:
    plan = NetworkPlan(bridges=(Bridge(name="br1", libvirt_network="more", vlan=30),))
    raw = (nic(2, "ens3", "192.0.2.7/24"), nic(4, "br1", kind="bridge"))
    assert lack(plan, *raw) == ""
    assert faults_of(plan, *raw) == ["br1: vlan30 (VLAN 30 on ens3) is not there yet"]


def test_another_bridge_without_carrier_is_a_fault_and_no_wait() -> None:
    plan = NetworkPlan(bridges=(Bridge(name="br1", libvirt_network="more", interface=Interface(name="ens4")),))
    raw = (nic(2, "ens3", "192.0.2.7/24"), nic(3, "ens4", up=False, master="br1"), nic(4, "br1", kind="bridge"))
    assert lack(plan, *raw) == ""
    assert faults_of(plan, *raw) == ["br1: ens4 (52:54:00:00:00:03) has no carrier"]


def test_other_mtus_and_one_network_for_two_are_faults() -> None:
    raw = (nic(2, "ens3", "198.51.100.9/24"), nic(3, "ens4", "198.51.100.1/24"))
    assert faults_of(STORAGE_CARD, *raw) == [
        "ens4 has an MTU of 1500 bytes, the plan wants 9000",
        "management (198.51.100.9/24) and storage (198.51.100.1/24) are in one IPv4 network",
    ]


@pytest.mark.parametrize(
    ("plan", "raw", "again"),
    [
        (BRIDGE, (CARD,), ("ens3",)),
        (BRIDGE, (nic(2, "ens3", master="br0"), nic(3, "br0", kind="bridge")), ()),
        (NetworkPlan(), (CARD,), ()),
        (STATIC, (nic(2, "ens3", "198.51.100.1/24"),), ("ens3",)),
        (STATIC, (nic(2, "ens3", up=False),), ()),
        (STATIC, (nic(2, "ens3", "192.0.2.1/24"),), ()),
        (NetworkPlan(vlan=10), (CARD,), ("ens3",)),
        (NetworkPlan(vlan=10), (CARD, nic(3, "vlan10", kind="vlan")), ()),
        (BONDED, (members()[0], nic(3, "eno2"), bond()), ("eno2",)),
        (BONDED, (*members(), bond()), ()),
        (STORAGE_CARD, (nic(2, "ens3", "192.0.2.7/24"), nic(3, "ens4")), ("ens4",)),
    ],
)
def test_a_reload_that_was_cut_off_is_done_again_for_what_lacks_it(
    plan: NetworkPlan, raw: tuple[dict[str, object], ...], again: tuple[str, ...]
) -> None:
    assert unapplied(wanted_on(plan, *raw), links(*raw)) == again


def test_the_bridges_addresses_are_announced() -> None:
    there = links(nic(2, "ens3"), nic(3, "br0", "fe80::1/64", "192.0.2.1/24", kind="bridge"))
    assert reachable_addresses(there, "192.0.2.1") == ("192.0.2.1", "fe80::1")
    assert reachable_addresses(there, None) == ()


def test_the_status_has_every_network_with_its_cards() -> None:
    plan = BONDED.model_copy(
        update={"vlan": 10, "bridges": (Bridge(name="br1", libvirt_network="more", isolated=True),)}
    )
    raw = (*members(other=False), bond(), nic(10, "vlan10", "192.0.2.7/24", kind="vlan"))
    management, isolated = networks(wanted_on(plan, *raw), links(*raw))
    assert (management.name, management.link, management.address) == ("management", "vlan10", "192.0.2.7")
    assert (management.vlan, management.bond) == (10, "bond0")
    assert [(c.name, c.mac, c.carrier, c.rule) for c in management.cards] == [
        ("eno1", "52:54:00:00:00:02", True, "name eno1"),
        ("eno2", "52:54:00:00:00:03", False, "name eno2"),
    ]
    assert (isolated.name, isolated.address, isolated.cards) == ("br1", None, ())
