"""Slots that are added to a founded site: their numbers, names and addresses, and seeds that never found."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from builder.site.folder import Site, create_site, open_site
from builder.site.laterslots import Wish, add_slot, next_slot
from builder.site.slots import issue_seed
from firstboot.cluster.memberlist import founding_names
from firstboot.cluster.trust import verify_seed
from firstboot.errors import BadInputError, RefusedError
from firstboot.gluster.layout import volume_layout
from firstboot.plan import NetworkPlan, Plan, SlotPlan, StorageNetwork
from tests.unit.firstboot.gluster.formed import plan as gluster_plan
from tests.unit.site.seeds import small_plan


def static_plan() -> Plan:
    slots = tuple(
        SlotPlan(
            number=n,
            name=f"node{n}",
            address=IPv4Interface(f"192.0.2.{10 + n}/24"),
            storage_address=IPv4Interface(f"198.51.100.{10 + n}/24"),
        )
        for n in (1, 2, 3)
    )
    network = NetworkPlan(
        method="static", gateway=IPv4Address("192.0.2.14"), storage=StorageNetwork(method="static", vlan=7)
    )
    return small_plan().model_copy(update={"slots": slots, "network": network})


def test_a_later_slot_has_the_next_number_and_stays(site: Site) -> None:
    changed, slot = add_slot(site, Wish())
    assert (slot.number, slot.name, slot.later) == (4, "node4", True)
    assert open_site(site.path).plan == changed.plan
    assert changed.plan.slots[:3] == site.plan.slots
    assert add_slot(changed, Wish("node4"))[1] == slot, "done twice"
    assert add_slot(changed, Wish("far", zone="b"))[1].number == 5


def test_its_seed_joins_and_never_founds(site: Site) -> None:
    changed, slot = add_slot(site, Wish())
    seed = issue_seed(changed, 4)
    verify_seed(seed)
    assert seed.plan.slot(4) == slot
    assert founding_names(seed.plan, 4) == {1: "node1", 2: "node2", 3: "node3", 4: "node4"}
    again = issue_seed(changed, 1)
    assert founding_names(again.plan, 1) == {1: "node1", 2: "node2", 3: "node3"}


def test_volumes_are_laid_out_over_the_slots_of_the_founding() -> None:
    plan = gluster_plan()
    later = plan.model_copy(update={"slots": (*plan.slots, next_slot(plan, Wish()))})
    assert volume_layout(later, later.volumes[0]) == volume_layout(plan, plan.volumes[0])


def test_a_name_that_is_taken_or_none(site: Site) -> None:
    with pytest.raises(RefusedError, match="slot 2 of site trio is node2 already"):
        add_slot(site, Wish("node2"))
    with pytest.raises(BadInputError, match="can't be a slot's name"):
        add_slot(site, Wish("Node 4"))
    assert len(open_site(site.path).plan.slots) == 3


def test_a_slot_that_is_there_is_not_given_for_another(tmp_path: Path) -> None:
    plan = static_plan()
    site = create_site(tmp_path / "static", "static", plan)
    wish = Wish("node4", "b", "192.0.2.40/24", "198.51.100.40/24")
    changed, slot = add_slot(site, wish)
    assert add_slot(changed, wish)[1] == add_slot(changed, Wish("node4"))[1] == slot
    for other, why in (
        (Wish("node4", zone="c"), "with zone b, not c"),
        (Wish("node4", zone=""), "with zone b, not none"),
        (Wish("node4", address="192.0.2.41/24"), r"with address 192\.0\.2\.40/24, not 192\.0\.2\.41/24"),
        (Wish("node4", storage_address="198.51.100.4/24"), r"with storage address 198\.51\.100\.40/24"),
    ):
        with pytest.raises(RefusedError, match=why):
            add_slot(changed, other)
    assert len(open_site(site.path).plan.slots) == 4


def test_static_addresses_follow_or_are_given() -> None:
    plan = static_plan()
    given = next_slot(plan, Wish(address="192.0.2.40/24"))
    assert str(given.address) == "192.0.2.40/24"
    assert str(given.storage_address) == "198.51.100.14/24"
    with pytest.raises(BadInputError, match=r"192\.0\.2\.14 is taken"):
        next_slot(plan, Wish())  # the gateway's


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("192.0.2.11/24", "is taken"),
        ("203.0.113.9/24", "is no address in 192.0.2.0/24"),
        ("192.0.2.255/24", "is no address in"),
        ("192.0.2.300/24", "is no address"),
    ],
)
def test_addresses_that_can_not_be_its(address: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        next_slot(static_plan(), Wish(address=address))


def test_an_address_where_none_is_given_to_slots() -> None:
    with pytest.raises(BadInputError, match="gives no storage address"):
        next_slot(small_plan(), Wish(storage_address="192.0.2.9/24"))
