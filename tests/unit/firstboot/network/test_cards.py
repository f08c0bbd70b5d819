"""Which card a rule means, and what is said when it means none or several."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot.network.cards import NoInterfaceError, choose
from firstboot.network.facts import parse_links, read_hardware
from firstboot.network.overview import summary
from firstboot.plan import Bond, Bridge, Interface, NetworkPlan, StorageNetwork
from firstboot.seed import Overrides
from tests.unit.firstboot.network.machine import links, member, nic, wanted_on

CARD = nic(2, "ens3")
PAIR = (nic(2, "eno1"), nic(3, "eno2"))
BOND = Bond(name="bond0", members=(Interface(name="eno*"),))


def test_the_first_wired_card_is_taken() -> None:
    there = (nic(2, "wlp1s0"), nic(3, "virbr0", kind="bridge"), nic(4, "vnet0"), nic(5, "ens3"), nic(6, "ens4"))
    assert wanted_on(NetworkPlan(), *there).management.link == "ens3"


def test_rules_choose_and_the_seeds_override_wins() -> None:
    there = (CARD, nic(3, "ens4"))
    by_mac = NetworkPlan(interface=Interface(mac="52:54:00:00:00:03"))
    assert wanted_on(by_mac, *there).management.link == "ens4"
    assert wanted_on(by_mac, *there, overrides=Overrides(interface=Interface(name="ens3"))).management.link == "ens3"


@pytest.mark.parametrize(
    ("rule", "card"),
    [
        (Interface(name="ens[4-5]"), "ens4"),
        (Interface(driver="ix*"), "ens4"),
        (Interface(pci="0000:03:00.?", name="ens*"), "ens4"),
        (Interface(driver="e1000e", mac="52:54:00:00:00:02"), "ens3"),
    ],
)
def test_rules_are_globs_over_name_driver_and_pci_address(rule: Interface, card: str) -> None:
    there = links(
        nic(2, "ens3", driver="e1000e", pci="0000:00:1f.6"), nic(3, "ens4", driver="ixgbe", pci="0000:03:00.1")
    )
    assert choose(rule, there, "management").card.name == card


def test_no_match_lists_what_there_is() -> None:
    with pytest.raises(NoInterfaceError, match=r"with name ens9; there is: ens3 \(52:54:00:00:00:02\)"):
        wanted_on(NetworkPlan(interface=Interface(name="ens9")), CARD)


def test_a_rule_that_matches_several_is_refused() -> None:
    with pytest.raises(
        NoInterfaceError, match=r"management: 2 network interfaces have name eno\*, and one is wanted"
    ):
        wanted_on(NetworkPlan(interface=Interface(name="eno*")), *PAIR)


def test_a_member_is_known_by_its_own_mac_and_not_by_the_bonds() -> None:
    plan = NetworkPlan(interface=Interface(name="bond0"), bonds=(BOND,))
    there = (member(2, "eno1", "bond0", of=2), member(3, "eno2", "bond0", of=2), nic(9, "bond0", kind="bond"))
    by_mac = Overrides(bonds={"bond0": (Interface(mac="52:54:00:00:00:03"),)})
    (bonded,) = wanted_on(plan, *there, overrides=by_mac).topology.bonds
    assert bonded.member_names == ("eno2",)
    (bonded,) = wanted_on(plan, *there).topology.bonds
    assert bonded.member_names == ("eno1", "eno2")


def test_any_card_means_none_that_another_rule_names() -> None:
    plan = NetworkPlan(
        storage=StorageNetwork(interface=Interface(name="eno1")),
        bridges=(Bridge(name="br1", libvirt_network="more", interface=Interface(mac="52:54:00:00:00:03")),),
    )
    assert wanted_on(plan, *PAIR, nic(4, "eno3")).management.link == "eno3"
    with pytest.raises(NoInterfaceError, match=r"management: no wired network interface; there is: eno1"):
        wanted_on(plan, *PAIR)


def test_what_has_no_interface_is_on_that_of_management_wherever_it_is() -> None:
    plan = NetworkPlan(interface=Interface(name="eno1"), storage=StorageNetwork(vlan=20))
    storage = wanted_on(plan, *PAIR, overrides=Overrides(interface=Interface(name="eno2"))).storage
    assert storage is not None
    assert (storage.parent, storage.link) == ("eno2", "vlan20")


def test_only_management_must_have_a_card_for_the_others_to_be_configured() -> None:
    plan = NetworkPlan(
        interface=Interface(name="eno1"),
        bonds=(Bond(name="bond0", members=(Interface(name="ens*"),)),),
        storage=StorageNetwork(interface=Interface(name="bond0")),
        bridges=(Bridge(name="br1", libvirt_network="more", interface=Interface(name="eno9")),),
    )
    wanted = wanted_on(plan, *PAIR)
    assert set(wanted.files) == {"10-trivet-eno1.network"}
    assert {name: error.message.partition(";")[0] for name, error in wanted.topology.faults.items()} == {
        "bond0": "bond0: no wired network interface with name ens*",
        "storage": "bond0: no wired network interface with name ens*",
        "br1": "br1: no wired network interface with name eno9",
    }
    with pytest.raises(NoInterfaceError, match="bond0: no wired network interface with name ens"):
        wanted_on(plan.model_copy(update={"interface": Interface(name="bond0")}), *PAIR)


def test_a_card_is_in_one_place_only() -> None:
    twice = NetworkPlan(
        bonds=(BOND, Bond(name="bond1", members=(Interface(mac="52:54:00:00:00:03"),))),
        interface=Interface(name="bond0"),
        storage=StorageNetwork(interface=Interface(pci="0000:01:00.0")),
        bridges=(Bridge(name="br1", libvirt_network="more", interface=Interface(name="bond0")),),
    )
    cards = (nic(2, "eno1", pci="0000:01:00.0"), PAIR[1])
    faults = {name: error.message for name, error in wanted_on(twice, *cards).topology.faults.items()}
    assert faults == {
        "bond1": "bond1: eno2 (52:54:00:00:00:03) is a member of bond0",
        "storage": "storage: eno1 (52:54:00:00:00:02) is a member of bond0",
        "br1": "br1: bond0 carries management untagged already",
    }


def test_a_bond_takes_as_many_cards_as_its_plan_counts() -> None:
    plan = NetworkPlan(interface=Interface(name="bond0"), bonds=(BOND.model_copy(update={"count": 2}),))
    assert wanted_on(plan, *PAIR).topology.bonds[0].members.lacking == ()
    assert wanted_on(plan, PAIR[0]).topology.bonds[0].members.lacking == ("1 of 2 cards are there",)
    with pytest.raises(NoInterfaceError, match="bond0: 3 network interfaces match its rules, and 2 are wanted: eno1"):
        wanted_on(plan, *PAIR, nic(4, "eno3"))


def test_the_log_says_which_card_and_why_and_which_others_there_were() -> None:
    plan = NetworkPlan(
        storage=StorageNetwork(interface=Interface(name="eno2")),
        bridges=(Bridge(name="br1", libvirt_network="more", isolated=True),),
    )
    raw = (nic(2, "eno1", "192.0.2.7/24"), nic(3, "eno2"), nic(4, "eno3"))
    assert summary(wanted_on(plan, *raw), links(*raw)) == (
        "management 192.0.2.7 on eno1 over eno1 (52:54:00:00:00:02, by the first wired card that no rule names); "
        "storage eno2 over eno2 (52:54:00:00:00:03, by name eno2); br1 br1, isolated; "
        "unused: eno3 (52:54:00:00:00:04)"
    )


def test_hardware_is_read_from_sysfs(tmp_path: Path) -> None:
    device = tmp_path / "devices" / "pci0000:00" / "0000:00:02.0" / "0000:03:00.1" / "virtio1"
    driver = tmp_path / "drivers" / "virtio_net"
    device.mkdir(parents=True)
    driver.mkdir(parents=True)
    (tmp_path / "net" / "eno1").mkdir(parents=True)
    (tmp_path / "net" / "eno1" / "device").symlink_to(device)
    (device / "driver").symlink_to(driver)
    assert read_hardware("eno1", tmp_path / "net") == {"driver": "virtio_net", "pci": "0000:03:00.1"}
    assert read_hardware("veth0", tmp_path / "net") == {"driver": None, "pci": None}


def test_links_of_every_kind_are_read() -> None:
    """As iproute2 6.15 prints them: an id is not a number everywhere."""
    text = (
        '[{"ifindex":3,"ifname":"vlan5","link_type":"ether","linkinfo":{"info_kind":"vlan",'
        '"info_data":{"protocol":"802.1Q","id":5,"flags":["REORDER_HDR"]}}},'
        '{"ifindex":2,"ifname":"br0","link_type":"ether","linkinfo":{"info_kind":"bridge",'
        '"info_data":{"forward_delay":1500},"info_slave_data":{"id":"0x8001","no":"0x1"}}},'
        '{"ifindex":4,"ifname":"odd0","link_type":"ether","linkinfo":{"info_kind":"odd","info_data":{"id":"0x1"}}}]'
    )
    assert [link.name for link in parse_links(text)] == ["br0", "vlan5", "odd0"]
    assert parse_links("") == ()
