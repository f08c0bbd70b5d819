"""Which cards a plan's networks ask for, what they are connected to, and what each machine is told of them."""

from __future__ import annotations

import struct
from ipaddress import IPv4Network
from typing import Any

import pytest

from builder.lab import accessport, addressing, wiring
from builder.lab.state import LabState
from firstboot.errors import BadInputError
from firstboot.network.wanted import want
from firstboot.plan import Bond, Bridge, GuestBridge, Interface, NetworkPlan, Plan, SlotPlan, StorageNetwork
from firstboot.seed import Overrides
from tests.unit.firstboot.network.machine import links, nic
from tests.unit.lab.labs import plan, state

PAIR = (Interface(name="eno1"), Interface(name="eno2"))
BONDED = NetworkPlan(
    interface=Interface(name="bond0"),
    vlan=10,
    guest_bridge=GuestBridge(),
    bonds=(Bond(name="bond0", members=PAIR, mtu=9000),),
    storage=StorageNetwork(vlan=20, mtu=9000),
    bridges=(
        Bridge(name="br1", libvirt_network="more", interface=Interface(name="ens*"), mtu=4000),
        Bridge(name="br2", libvirt_network="lab", isolated=True),
    ),
)
CABLED = NetworkPlan(
    storage=StorageNetwork(interface=Interface(name="bond1"), method="link-local"),
    bonds=(Bond(name="bond1", mode="802.3ad", members=(Interface(driver="ixgbe"),)),),
)


def made(network: NetworkPlan, count: int = 3, **changes: Any) -> LabState:
    return state(plan=plan(count=count, network=network, **changes))


def test_a_plan_without_rules_has_one_card_and_no_overrides() -> None:
    lab = made(NetworkPlan())
    assert [switch.bridge for switch in lab.switches] == [addressing.bridge_name("lab")]
    (card,) = lab.node(2).cards
    assert (card.mac, card.tap) == (addressing.mac_address("lab", 2), addressing.tap_name("lab", 2))
    assert wiring.overrides(lab.plan.network, lab.node(2)) == Overrides()
    assert lab.home.link == lab.home.switch.bridge
    assert lab.home.serves_dhcp


def test_each_interface_has_a_switch_and_a_bonds_cards_share_one() -> None:
    lab = made(BONDED)
    assert [(switch.bridge, switch.mtu) for switch in lab.switches] == [
        (addressing.bridge_name("lab"), 9000),
        (addressing.bridge_name("lab", 1), 4000),
    ]
    first, second = (switch.bridge for switch in lab.switches)
    assert [(card.bridge, card.mtu) for card in lab.node(1).cards] == [(first, 9000), (first, 9000), (second, 4000)]
    assert len({card.mac for node in lab.nodes for card in node.cards}) == 9


def test_this_machine_is_in_a_tagged_network_by_an_access_port() -> None:
    lab = made(BONDED)
    home, storage = lab.ports
    assert (home.link, home.vlan, home.mtu) == (addressing.port_name("lab", 0), 10, 1500)
    assert (storage.link, storage.vlan, storage.mtu) == (addressing.port_name("lab", 1), 20, 9000)
    assert home.subnet is not None
    assert storage.subnet is not None
    assert not home.subnet.overlaps(storage.subnet)
    node = lab.node(3)
    assert (node.address, str(node.storage_address)) == (str(home.subnet[13]), str(storage.subnet[13]))
    assert node.storage_mac == node.mac


@pytest.mark.parametrize("network", [BONDED, CABLED, NetworkPlan(interface=Interface(name="eno1"))])
def test_the_seed_names_the_cards_so_that_the_machine_finds_them(network: NetworkPlan) -> None:
    """The lab's cards have other names than the plan's: with the overrides everything has its place all the same."""
    lab = made(network, 2)
    node = lab.node(1)
    there = [nic(index, f"enp{index}s0") | {"address": card.mac} for index, card in enumerate(node.cards, 2)]
    seen = links(*there, nic(99, "enp99s0"))
    slot = SlotPlan(number=1, name="node1")
    wanted = want(network, slot, wiring.overrides(network, node), seen)
    assert wanted.topology.faults == {}
    assert {choice.card.mac for choice in wanted.topology.choices} == {card.mac for card in node.cards}


def test_two_machines_are_cabled_where_no_switch_speaks_lacp() -> None:
    lab = made(CABLED, 2)
    one, other = ([card.cable for card in node.cards if card.cable] for node in lab.nodes)
    assert [(a.local_port, a.remote_port) for a in one] == [(b.remote_port, b.local_port) for b in other]
    assert len({port for cable in one for port in (cable.local_port, cable.remote_port)}) == 4
    assert len(lab.switches) == 1
    assert len(lab.ports) == 1


@pytest.mark.parametrize(
    ("network", "count", "said"),
    [
        (CABLED, 3, "bond1 is of mode 802.3ad: no switch of the lab speaks LACP, and only two machines"),
        (
            CABLED.model_copy(update={"interface": Interface(name="bond1"), "vlan": 5}),
            2,
            "management is on bond1 of mode 802.3ad",
        ),
    ],
)
def test_what_no_lab_can_have_is_refused(network: NetworkPlan, count: int, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        made(network, count)


@pytest.mark.parametrize("method", ["auto", "link-local"])
def test_without_dhcp_nodes_are_reached_by_link_local_addresses(method: Any) -> None:
    lab = made(NetworkPlan(method=method))
    assert (lab.home.subnet, lab.home.address, lab.home.serves_dhcp) == (None, None, False)
    assert lab.node(1).address == addressing.link_local(lab.node(1).mac, lab.home.link)


def test_static_addresses_are_the_plans() -> None:
    slots = tuple(
        SlotPlan.model_validate({"number": n, "name": f"n{n}", "address": f"192.168.50.{n + 9}/24"})
        for n in (1, 2, 3)
    )
    lab = made(NetworkPlan(method="static"), slots=slots)
    assert (lab.home.subnet, lab.home.serves_dhcp) == (IPv4Network("192.168.50.0/24"), False)
    assert [node.address for node in lab.nodes] == ["192.168.50.10", "192.168.50.11", "192.168.50.12"]


def test_a_slots_mac_is_that_of_its_first_card() -> None:
    slot = SlotPlan.model_validate({"number": 1, "name": "n1", "match": {"mac": "52:54:00:00:00:77"}})
    assert made(BONDED, slots=(slot,)).node(1).mac == "52:54:00:00:00:77"


def test_a_state_reads_as_it_was_written() -> None:
    lab = made(BONDED)
    assert LabState.model_validate_json(lab.model_dump_json()) == lab
    assert isinstance(lab.plan, Plan)


def test_the_tag_goes_behind_the_addresses_and_is_known_by_what_the_kernel_says() -> None:
    virtio, addresses, rest = bytes(10), bytes(range(12)), b"\x08\x00payload"
    assert accessport.tagged(virtio + addresses + rest, 10) == virtio + addresses + b"\x81\x00\x00\x0a" + rest
    said = struct.pack("=IIIHHHH", accessport.TP_STATUS_VLAN_VALID, 0, 0, 0, 0, 0xA00A, 0x8100)
    assert accessport.is_of(10, [(263, 8, said)])
    assert not accessport.is_of(11, [(263, 8, said)])
    untagged = struct.pack("=IIIHHHH", 0, 0, 0, 0, 0, 10, 0)
    assert not accessport.is_of(10, [(263, 8, untagged)])
    assert not accessport.is_of(10, [])
