"""Networks that need a kernel with bonding and VLANs: real boots, looked at from inside; cables are pulled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from firstboot import paths
from tests.vm.cli import trivet
from tests.vm.conftest import Lab, formed_lab, host_of

pytestmark = pytest.mark.full

PROFILES = Path(__file__).parent / "profiles"
FILE = f"{paths.DOMAINS}/vmstore/written"
LIMIT_S = 900.0
JUMBO_PAYLOAD = 9000 - 28


@pytest.fixture(scope="module")
def bonded(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    site = tmp_path_factory.mktemp("bonded") / "site"
    with formed_lab(PROFILES / "bonded.yaml", image_folder, site) as lab:
        yield lab


@pytest.fixture(scope="module")
def cabled(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    site = tmp_path_factory.mktemp("cabled") / "site"
    with formed_lab(PROFILES / "cabled.yaml", image_folder, site) as lab:
        yield lab


def eventually(what: str, fact: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not fact():
        assert time.monotonic() < end, what
        time.sleep(2)


def links(node: Host) -> dict[str, Any]:
    return {link["ifname"]: link for link in json.loads(node.check_output("ip -json -details address show"))}


def ipv4(link: Any) -> list[str]:
    return [address["local"] for address in link["addr_info"] if address["family"] == "inet"]


def status(node: Host) -> Any:
    return json.loads(node.run("trivet-node status --json").stdout)


def findings(node: Host, check: str) -> list[tuple[str, str, str]]:
    """What the doctor says of one check: about, verdict, evidence."""
    report = json.loads(node.run("trivet-node doctor --json").stdout)
    return [(f["about"], f["verdict"], f["evidence"]) for f in report["findings"] if f["check"] == check]


def bond(node: Host, name: str) -> str:
    return str(node.check_output(f"cat /proc/net/bonding/{name}"))


def share(one: Host, other: Host, text: str) -> None:
    """What one node writes to the volume another reads."""
    one.check_output(f"echo '{text}' > {FILE} && sync {FILE}")
    assert other.check_output(f"cat {FILE}") == text


def test_bond_vlans_and_bridges_are_as_planned(bonded: Lab) -> None:
    for number in (1, 2, 3):
        node = host_of(bonded, number)
        assert node.check_output("systemctl --failed --no-legend --plain") == ""
        found = links(node)
        cards = [link["ifname"] for link in found.values() if link.get("master") == "bond0"]
        assert len(cards) == 2
        assert "Bonding Mode: fault-tolerance (active-backup)" in bond(node, "bond0")
        assert bond(node, "bond0").count("MII Status: up") == 3
        assert {found[name]["master"] for name in ("vlan10", "vlan30")} == {"br0", "br-dmz"}
        tags = {name: found[name]["linkinfo"]["info_data"]["id"] for name in ("vlan10", "vlan20", "vlan30")}
        assert tags == {"vlan10": 10, "vlan20": 20, "vlan30": 30}
        assert ipv4(found["br0"]) == [f"10.200.8.{10 + number}"]
        assert ipv4(found["vlan20"]) == [f"10.200.9.{10 + number}"]
        assert {name for name, link in found.items() if ipv4(link)} == {"lo", "br0", "vlan20"}
        storage = found[found["vlan20"]["link"]]
        assert storage["ifname"] not in cards
        mtus = {"br0": 1500, "vlan10": 1500, "br-dmz": 1500, "br-lab": 1500, "vlan20": 9000, storage["ifname"]: 9000}
        assert {name: found[name]["mtu"] for name in mtus} == mtus
        networks = node.check_output("virsh net-list --all").splitlines()[2:]
        assert sorted(" ".join(line.split()) for line in networks if "default" not in line) == [
            "dmz active yes yes",
            "guests active yes yes",
            "lab active yes yes",
        ]


def test_gluster_is_on_the_storage_network(bonded: Lab) -> None:
    node = host_of(bonded, 1)
    hosts = [
        line.split()[0] for line in node.check_output("cat /etc/hosts").splitlines() if "trivet.internal" in line
    ]
    assert hosts == ["10.200.9.11", "10.200.9.12", "10.200.9.13"]
    ends = {
        line.split()[3].rpartition(":")[0].removeprefix("[::ffff:").strip("[]")
        for line in node.check_output("ss -Htnp state established").splitlines()
        if "gluster" in line
    }
    assert {"10.200.9.12", "10.200.9.13"} <= ends
    assert not [end for end in ends if end.startswith("10.200.8.")]


def test_large_frames_pass_and_the_doctor_measures_it(bonded: Lab) -> None:
    node = host_of(bonded, 2)
    node.check_output(f"ping -c 1 -W 20 -M do -s {JUMBO_PAYLOAD} 10.200.9.13")
    assert node.run(f"ping -c 1 -W 5 -M do -s {JUMBO_PAYLOAD} 10.200.8.13").rc != 0
    seen = {about: (verdict, evidence) for about, verdict, evidence in findings(node, "path MTU")}
    assert seen["node3 (10.200.9.13)"] == ("pass", "packets of 9000 bytes arrive whole")
    assert seen["node3 (10.200.8.13)"] == ("pass", "packets of 1500 bytes arrive whole")
    assert [f for f in findings(node, "link") if f[1] == "fail"] == []


def test_the_node_says_which_card_carries_what(bonded: Lab) -> None:
    management, storage, dmz, isolated = status(host_of(bonded, 1))["networks"]
    cards = [card.mac for card in bonded.state.node(1).cards]
    assert [card["mac"] for card in management["cards"]] == cards[:2]
    assert (management["bond"], management["vlan"]) == ("bond0", 10)
    assert [card["mac"] for card in storage["cards"]] == cards[2:]
    assert (dmz["link"], isolated["cards"]) == ("br-dmz", [])


def test_a_bond_without_one_of_its_cables_works_and_is_named(bonded: Lab) -> None:
    first, second = host_of(bonded, 1), host_of(bonded, 2)
    active = second.check_output("cat /sys/class/net/bond0/bonding/active_slave")
    mac = second.check_output(f"cat /sys/class/net/{active}/bonding_slave/perm_hwaddr")
    card = next(index for index, one in enumerate(bonded.state.node(2).cards, 1) if one.mac == mac)
    trivet("lab", "unplug", "2", str(card), "--name", bonded.name)
    eventually("the bond is named", lambda: any("bond0 is degraded" in text for text in status(second)["problems"]))
    assert second.check_output("cat /sys/class/net/bond0/bonding/active_slave") != active
    assert any(f"{active} ({mac}) has no carrier" in text for text in status(second)["problems"])
    assert [f[1] for f in findings(second, "link") if f[0] == "bond0"] == ["warn"]
    share(second, first, "over the other cable")
    assert first.check_output("gluster pool list").count("Connected") == 3
    trivet("lab", "plug", "2", str(card), "--name", bonded.name)
    eventually("nothing is wrong any more", lambda: status(second)["problems"] == [])


def test_without_its_storage_network_a_node_says_so_and_can_be_reached(bonded: Lab) -> None:
    first, third = host_of(bonded, 1), host_of(bonded, 3)
    trivet("lab", "unplug", "3", "3", "--name", bonded.name)
    eventually(
        "the node names it",
        lambda: any("storage: " in text and "no carrier" in text for text in status(third)["problems"]),
    )
    assert any(text.startswith("10.200.9.13") for text in first.check_output("cat /etc/hosts").splitlines())
    trivet("lab", "plug", "3", "3", "--name", bonded.name)
    eventually("nothing is wrong any more", lambda: status(third)["problems"] == [])
    share(third, first, "and back")


def test_without_dhcp_the_nodes_have_link_local_addresses(cabled: Lab) -> None:
    for number in (1, 2):
        node = host_of(cabled, number)
        (address,) = ipv4(links(node)["br0"])
        assert address.startswith("169.254.")
        assert status(node)["addresses"] == [address, f"10.200.9.{10 + number}"]
        assert cabled.address(number).startswith("fe80::")
    seen = json.loads(trivet("site", "status", cabled.site, "--json").stdout)["nodes"]
    assert sorted((node["slot"], node["status"]["phase"]) for node in seen) == [(1, "formed"), (2, "formed")]


def test_the_bond_is_one_aggregate_by_lacp(cabled: Lab) -> None:
    for number in (1, 2):
        node = host_of(cabled, number)
        text = bond(node, "bond1")
        assert "Bonding Mode: IEEE 802.3ad Dynamic link aggregation" in text
        assert "Transmit Hash Policy: layer3+4" in text
        assert "LACP rate: fast" in text
        assert "MII Polling Interval (ms): 100" in text
        other = cabled.state.node(3 - number)
        assert f"Partner Mac Address: {other.cards[1].mac}" in text
        ids = [line.split()[-1] for line in text.splitlines() if line.startswith("Aggregator ID")]
        assert len(set(ids)) == 1
        assert len(ids) == 2
        node.check_output(f"ping -c 1 -W 20 -M do -s {JUMBO_PAYLOAD} 10.200.9.{13 - number}")
        assert [f[1] for f in findings(node, "link") if f[0] == "bond1"] == ["pass"]


def test_an_aggregate_goes_on_with_one_cable(cabled: Lab) -> None:
    first, second = host_of(cabled, 1), host_of(cabled, 2)
    trivet("lab", "unplug", "1", "2", "--name", cabled.name)
    eventually("it is named here", lambda: any("has no carrier" in text for text in status(first)["problems"]))
    eventually(
        "it is named there",
        lambda: any("does not take it into the same aggregate" in text for text in status(second)["problems"]),
    )
    first.check_output("ping -c 3 -W 20 10.200.9.12")
    share(first, second, "over one cable")
    trivet("lab", "plug", "1", "2", "--name", cabled.name)
    eventually("nothing is wrong any more", lambda: status(first)["problems"] + status(second)["problems"] == [])
