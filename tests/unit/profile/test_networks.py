"""The section network: what it becomes in the plan, and that a machine with its cards can have what was accepted."""

from __future__ import annotations

from ipaddress import IPv4Interface
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.profile.compile import compile_plan
from builder.profile.load import load_profile, read_profile
from builder.profile.problems import ProfileError
from firstboot.network.condition import unapplied
from firstboot.network.wanted import want
from firstboot.plan import Bridge, Interface, Plan, StorageNetwork
from firstboot.seed import Overrides
from tests.unit.firstboot.network.machine import links, nic

ROOT = Path(__file__).parents[3]
HERE = Path("profile.yaml")
BASE = {"trivet": 1, "name": "networks", "slots": 3, "bricks": ["data"], "volumes": ["vmstore"]}


def plan_of(network: dict[str, object], **more: object) -> Plan:
    return compile_plan(read_profile(yaml.safe_dump({**BASE, **more, "network": network}), HERE))


def test_the_example_with_a_bond() -> None:
    plan = compile_plan(load_profile(ROOT / "profiles" / "bonded.yaml"))
    network = plan.network
    assert [str(slot.address) for slot in plan.slots] == ["192.0.2.11/24", "192.0.2.12/24", "192.0.2.13/24"]
    assert [str(slot.storage_address) for slot in plan.slots] == [f"198.51.100.{n}/24" for n in (11, 12, 13)]
    (bond,) = network.bonds
    assert (bond.members, bond.mtu) == ((Interface(name="eno1"), Interface(name="eno2")), 9000)
    assert network.storage == StorageNetwork(vlan=20, method="static", mtu=9000)
    assert network.bridges == (
        Bridge(name="br-dmz", libvirt_network="dmz", vlan=30),
        Bridge(name="br-lab", libvirt_network="lab", isolated=True),
    )
    assert [bridge.name for bridge in network.all_bridges] == ["br0", "br-dmz", "br-lab"]


def test_short_and_long_forms_are_the_same() -> None:
    short = {"bonds": [{"name": "bond0", "members": "eno*"}], "interface": "bond0", "storage": {"interface": "ens*"}}
    long = {
        "bonds": [{"name": "bond0", "mode": "active-backup", "members": [{"name": "eno*"}], "mtu": 1500}],
        "interface": {"name": "bond0"},
        "storage": {"interface": {"name": "ens*"}, "method": "dhcp", "mtu": 1500},
    }
    assert plan_of(short) == plan_of(long)


def test_a_slots_own_address_goes_before_the_one_that_follows() -> None:
    slots = ["node1", {"address": "192.0.2.99/24"}, "node3"]
    plan = plan_of({"method": "static", "first_address": "192.0.2.11/24"}, slots=slots)
    assert [str(slot.address) for slot in plan.slots] == ["192.0.2.11/24", "192.0.2.99/24", "192.0.2.13/24"]


def test_three_hundred_slots_have_addresses_from_one_line() -> None:
    plan = plan_of({"method": "static", "first_address": "10.0.0.10/16"}, slots=300)
    assert plan.slots[-1].address == IPv4Interface("10.0.1.53/16")


def test_mtus_are_those_of_management_unless_given() -> None:
    network = plan_of({"mtu": 9000, "storage": {"vlan": 5}, "bridges": [{"name": "br1", "isolated": True}]}).network
    assert network.storage is not None
    assert (network.storage.mtu, network.bridges[0].mtu) == (9000, 9000)


Section = dict[str, object]
vlans = st.sampled_from([5, 6, 7])
mtus = st.sampled_from([1500, 1500, 9000])
settings_of_bonds = st.fixed_dictionaries(
    {}, optional={"mtu": mtus, "mode": st.just("802.3ad"), "min_members": st.integers(1, 2)}
)


def merged(*parts: Section) -> Section:
    return {key: value for part in parts for key, value in part.items()}


def addressed(first: str) -> st.SearchStrategy[Section]:
    """How a network gets addresses, mostly in a way that can be."""
    static: Section = {"method": "static", "first_address": first}
    return st.just(static) | st.fixed_dictionaries(
        {"method": st.sampled_from(["dhcp", "auto", "link-local", "static"])}
    )


def sections(bonds: tuple[str, ...]) -> st.SearchStrategy[Section]:
    """The section of a site with these bonds of two cards each; management is on the first, mostly."""
    members = {"bond0": ["eno1", "eno2"], "bond1": ["eno5", "eno6"]}
    cards = st.sampled_from(["eno3", "eno4", *bonds])
    bridge = st.fixed_dictionaries(
        {"name": st.sampled_from(["br1", "br2", "br3"])}, optional={"interface": cards, "vlan": vlans, "mtu": mtus}
    )
    isolated = st.fixed_dictionaries({"name": st.sampled_from(["br1", "br4"]), "isolated": st.just(True)})
    storage = st.builds(
        merged,
        st.fixed_dictionaries({"vlan": vlans}) | st.fixed_dictionaries({"interface": cards}),
        st.fixed_dictionaries({}, optional={"mtu": mtus}),
        addressed("198.51.100.11/24"),
    )
    made = [st.builds(merged, st.just({"name": n, "members": members[n]}), settings_of_bonds) for n in bonds]
    more = {
        "vlan": vlans,
        "mtu": mtus,
        "guest_bridge": st.just("br0"),
        "storage": storage,
        "bridges": st.lists(bridge | isolated, max_size=3, unique_by=lambda one: str(one["name"])),
    }
    interface = st.just(bonds[0]) if bonds else cards
    base = st.fixed_dictionaries({"bonds": st.tuples(*made).map(list), "interface": interface}, optional=more)
    return st.builds(merged, base, addressed("192.0.2.11/24"))


networks = st.sampled_from([(), ("bond0",), ("bond0", "bond1")]).flatmap(sections)


@given(networks)
@settings(max_examples=400)
def test_what_is_accepted_can_be_had(network: dict[str, object]) -> None:
    """On a machine with the cards: no network is at fault, no MTU above that of the link below, no link twice."""
    try:
        plan = plan_of(network)
    except ProfileError as error:
        assert error.problems
        return
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    there = links(*(nic(index + 2, f"eno{index + 1}") for index in range(6)))
    wanted = want(plan.network, plan.slots[0], Overrides(), there)
    topology = wanted.topology
    assert topology.faults == {}
    assert len(topology.uses) == 1 + (plan.network.storage is not None) + len(plan.network.bridges)
    planned = {"management": plan.network.mtu} | {bridge.name: bridge.mtu for bridge in plan.network.bridges}
    planned |= {"storage": plan.network.storage.mtu} if plan.network.storage else {}
    for use in topology.uses:
        assert topology.mtus[use.link] == planned[use.name]
        if use.parent is not None and use.port is not None:
            assert topology.mtus[use.link] <= topology.mtus[use.port] <= topology.mtus[use.parent]
    links_of = [use.link for use in topology.uses]
    assert len(links_of) == len(set(links_of))
    assert all(a.static is not None for a in wanted.addressing.values() if a.method == "static")
    assert set(unapplied(wanted, there)) <= {link.name for link in there}
