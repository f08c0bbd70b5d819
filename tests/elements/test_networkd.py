"""The image's own systemd-networkd reads what the agent writes, and does it: real daemons, cables for cards.

Bonds and VLANs need a kernel that has them: their files are read here, and brought up in tests/vm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from firstboot.cluster.fallbacks import dhcp_addresses
from firstboot.network.address import PEERS_OPTION
from firstboot.plan import Bond, Bridge, GuestBridge, Interface, Mode, NetworkPlan, StorageNetwork
from firstboot.seed import Seed
from tests.elements.conftest import ROOT, Image
from tests.elements.networkd import FOLDER, Machine, machine
from tests.unit.firstboot.network.machine import mac
from tests.unit.firstboot.sites import plan, site

GOLDEN = ROOT / "tests" / "golden" / "network"
CARDS = [("eno1", mac(2)), ("eno2", mac(3)), ("ens1f0np0", mac(4)), ("ens1f1np1", mac(5))]
COMPLAINT = re.compile(
    r"10-trivet-\S+?\.(network|netdev)(:\d+: |: .*(ignor|invalid|fail|unsupported))", re.IGNORECASE
)
(SEED,) = site(1)[1]


def seed_of(network: NetworkPlan) -> Seed:
    """Slot 1 of a site with these networks, at its static addresses."""
    made = plan(1)
    addresses = {"address": IPv4Interface("192.0.2.1/24"), "storage_address": IPv4Interface("198.51.100.1/24")}
    slots = (made.slots[0].model_copy(update=addresses),)
    return SEED.model_copy(
        update={"plan": made.model_copy(update={"network": network, "slots": slots, "mode": Mode.GLUSTER})}
    )


@pytest.fixture
def node(image: Image, tmp_path: Path) -> Iterator[Machine]:
    with machine(image.root_fs, tmp_path / "machine", CARDS) as made:
        yield made


def complaints(log: str) -> list[str]:
    """What networkd finds wrong in our files: it says file and line, or what it ignores of a file."""
    return [line for line in log.splitlines() if COMPLAINT.search(line)]


def golden_files(text: str) -> dict[str, str]:
    parts = re.split(r"^=== (\S+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_networkd_understands_every_line(node: Machine) -> None:
    cases = sorted(GOLDEN.glob("*.txt"))
    assert cases
    for case in cases:
        node.write(golden_files(case.read_text()))
        before = len(node.log())
        node.run("networkctl", "reload")
        assert complaints(node.log()[before:]) == [], case.stem
    node.write({"10-trivet-eno1.network": "[Match]\nName=eno1\n[Network]\nBound=bond0\n"})
    node.run("networkctl", "reload")
    assert len(complaints(node.log())) == 1, "a wrong key is not noticed: this test finds nothing"


def test_management_storage_and_bridges_come_up_and_stay(node: Machine) -> None:
    network = NetworkPlan(
        interface=Interface(name="eno1"),
        method="static",
        guest_bridge=GuestBridge(),
        storage=StorageNetwork(interface=Interface(mac=mac(4)), method="static", mtu=9000),
        bridges=(
            Bridge(name="br1", libvirt_network="more", interface=Interface(name="eno2"), mtu=4000),
            Bridge(name="br2", libvirt_network="lab", isolated=True),
        ),
    )
    outcome = node.bring_up(seed_of(network))
    assert outcome.done, outcome.text
    assert (outcome.address, outcome.storage, outcome.faults) == ("192.0.2.1", "198.51.100.1", ())
    assert "unused: ens1f1np1" in outcome.text
    links = node.links()
    assert node.addresses("br0") == ["192.0.2.1/24"]
    assert node.addresses("ens1f0np0") == ["198.51.100.1/24"]
    assert (links["eno1"]["master"], links["eno2"]["master"]) == ("br0", "br1")
    assert links["br0"]["address"] == mac(2)
    mtus = {"eno1": 1500, "br0": 1500, "ens1f0np0": 9000, "eno2": 4000, "br1": 4000, "br2": 1500}
    assert {name: links[name]["mtu"] for name in mtus} == mtus
    asked = node.changes()
    assert asked
    assert node.bring_up(seed_of(network)).done
    assert node.changes() == asked, "a second run changed something"


def test_a_change_of_one_network_leaves_the_others_alone(node: Machine) -> None:
    network = NetworkPlan(
        interface=Interface(name="eno1"),
        method="static",
        guest_bridge=GuestBridge(),
        storage=StorageNetwork(interface=Interface(name="eno2"), method="static", mtu=9000),
    )
    assert node.bring_up(seed_of(network)).done
    before = len(node.log())
    smaller = StorageNetwork(interface=Interface(name="eno2"), method="static", mtu=4000)
    assert node.bring_up(seed_of(network.model_copy(update={"storage": smaller}))).done
    assert node.links()["eno2"]["mtu"] == 4000
    touched = re.findall(r"^(\S+): Reconfiguring with", node.log()[before:], flags=re.MULTILINE)
    assert set(touched) == {"eno2"}


def test_a_bond_that_can_not_be_made_does_not_cut_the_network_that_runs(node: Machine) -> None:
    """This machine's kernel may lack bonding; with it the address goes over to the bond."""
    before = NetworkPlan(interface=Interface(name="eno1"), method="static")
    assert node.bring_up(seed_of(before)).done
    bond = Bond(name="bond0", members=(Interface(name="eno1"), Interface(name="eno2")))
    after = before.model_copy(update={"interface": Interface(name="bond0"), "bonds": (bond,)})
    outcome = node.bring_up(seed_of(after), limit_s=5)
    if "bond0" in node.links():
        assert outcome.done
        assert node.addresses("bond0") == ["192.0.2.1/24"]
    else:
        assert (outcome.done, outcome.text) == (False, "bond bond0 is not there yet")
        assert node.addresses("eno1") == ["192.0.2.1/24"]
        assert "Bond=" not in node.run("sh", "-c", f"cat {FOLDER}/*.network")


def test_only_management_gets_a_route_by_dhcp(node: Machine) -> None:
    network = NetworkPlan(
        interface=Interface(name="eno1"),
        guest_bridge=GuestBridge(),
        storage=StorageNetwork(interface=Interface(name="eno2")),
    )
    with node.dhcp_server():
        outcome = node.bring_up(seed_of(network))
    assert outcome.done, outcome.text
    assert outcome.address != outcome.storage
    assert outcome.storage is not None
    assert outcome.storage.startswith("192.0.2.")
    routes = node.run("ip", "-4", "route", "show", "default").splitlines()
    assert [line.split()[:5] for line in routes] == [["default", "via", "192.0.2.254", "dev", "br0"]]
    assert ["are in one IPv4 network" in fault for fault in outcome.faults] == [True]


def test_members_addresses_come_by_dhcp(node: Machine) -> None:
    """networkd asks for our option, and tells it in the form that the agent reads."""
    with node.dhcp_server(f"--dhcp-option={PEERS_OPTION},192.0.2.11,192.0.2.12"):
        assert node.bring_up(seed_of(NetworkPlan(interface=Interface(name="eno1")))).done
    assert dhcp_addresses(node.run("networkctl", "status", "--json=short", "eno1")) == ("192.0.2.11", "192.0.2.12")


@pytest.mark.parametrize("method", ["link-local", "auto"])
def test_without_a_dhcp_server_there_is_a_link_local_address(node: Machine, method: str) -> None:
    network = NetworkPlan.model_validate({"method": method, "guest_bridge": {"name": "br0"}})
    outcome = node.bring_up(seed_of(network), limit_s=90)
    assert outcome.done, outcome.text
    assert outcome.address is not None
    assert outcome.address.startswith("169.254.")
    assert node.addresses("br0") == [f"{outcome.address}/16"]
