"""From plan and links to systemd-networkd's files, and what a missing address is called."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from firstboot.network.facts import Link, parse_links, reachable_addresses
from firstboot.network.libvirt_network import document
from firstboot.network.phase import management_address, missing, sync_files, unapplied, write_changed
from firstboot.network.wanted import NoInterfaceError, chrony_sources, proxy_environment, want
from firstboot.plan import GuestBridge, Interface, NetworkPlan, SlotPlan

SLOT = SlotPlan(number=1, name="node1", address=IPv4Interface("192.0.2.1/24"))
LOOPBACK = {"ifindex": 1, "ifname": "lo", "link_type": "loopback", "address": "00:00:00:00:00:00"}


def nic(index: int, name: str, *addresses: str, kind: str | None = None, up: bool = True) -> dict[str, object]:
    info = [
        {
            "family": "inet6" if ":" in a else "inet",
            "local": a.partition("/")[0],
            "prefixlen": int(a.partition("/")[2]),
            "scope": "link" if a.startswith("fe80") else "global",
        }
        for a in addresses
    ]
    link: dict[str, object] = {
        "ifindex": index,
        "ifname": name,
        "link_type": "ether",
        "address": f"52:54:00:00:00:{index:02x}",
        "flags": ["BROADCAST", "UP", *(["LOWER_UP"] if up else [])],
        "addr_info": info,
    }
    return {**link, "linkinfo": {"info_kind": kind}} if kind else link


def links(*raw: dict[str, object]) -> tuple[Link, ...]:
    return parse_links(json.dumps([LOOPBACK, *raw]))


CARD = nic(2, "ens3")
BRIDGE = NetworkPlan(guest_bridge=GuestBridge())


def test_dhcp_on_the_card_itself() -> None:
    wanted = want(NetworkPlan(), SLOT, None, links(CARD))
    assert (wanted.uplink, wanted.management, wanted.address) == ("ens3", "ens3", None)
    assert set(wanted.files) == {"10-trivet-management.network"}
    assert "DHCP=ipv4\n" in wanted.files["10-trivet-management.network"]
    assert "ClientIdentifier=mac\n" in wanted.files["10-trivet-management.network"]


def test_the_guest_bridge_has_the_card_as_uplink_and_its_mac() -> None:
    wanted = want(BRIDGE, SLOT, None, links(CARD))
    assert wanted.management == "br0"
    assert "MACAddress=52:54:00:00:00:02\n" in wanted.files["10-trivet-bridge.netdev"]
    assert "MulticastSnooping=no\n" in wanted.files["10-trivet-bridge.netdev"]
    assert "[Match]\nName=ens3\n" in wanted.files["10-trivet-uplink.network"]
    assert "Bridge=br0\n" in wanted.files["10-trivet-uplink.network"]
    assert "[Match]\nName=br0\n" in wanted.files["10-trivet-management.network"]


def test_static_addresses_and_names() -> None:
    plan = NetworkPlan(
        method="static",
        gateway=IPv4Address("192.0.2.254"),
        dns=(IPv4Address("192.0.2.53"),),
        search=("example.org", "example.net"),
        mtu=9000,
    )
    text = want(plan, SLOT, None, links(CARD)).files["10-trivet-management.network"]
    for line in (
        "DHCP=no",
        "Address=192.0.2.1/24",
        "Gateway=192.0.2.254",
        "DNS=192.0.2.53",
        "Domains=example.org example.net",
        "MTUBytes=9000",
    ):
        assert f"{line}\n" in text


def test_the_plans_dns_replaces_that_of_dhcp() -> None:
    plan = NetworkPlan(dns=(IPv4Address("192.0.2.53"),), search=("example.org",))
    text = want(plan, SLOT, None, links(CARD)).files["10-trivet-management.network"]
    assert "UseDNS=no\n" in text
    assert "UseDomains=no\n" in text


def test_the_first_wired_card_is_taken() -> None:
    there = links(nic(2, "wlp1s0"), nic(3, "virbr0", kind="bridge"), nic(4, "vnet0"), nic(5, "ens3"), nic(6, "ens4"))
    assert want(NetworkPlan(), SLOT, None, there).uplink == "ens3"


def test_rules_choose_and_the_seeds_override_wins() -> None:
    there = links(CARD, nic(3, "ens4"))
    by_mac = NetworkPlan(interface=Interface(mac="52:54:00:00:00:03"))
    assert want(by_mac, SLOT, None, there).uplink == "ens4"
    assert want(by_mac, SLOT, Interface(name="ens3"), there).uplink == "ens3"


def test_no_match_lists_what_there_is() -> None:
    with pytest.raises(NoInterfaceError, match=r"with name ens9; there is: ens3 \(52:54:00:00:00:02\)"):
        want(NetworkPlan(interface=Interface(name="ens9")), SLOT, None, links(CARD))


def lack(plan: NetworkPlan, *raw: dict[str, object]) -> str:
    there = links(*raw)
    answer = missing(want(plan, SLOT, None, there), there)
    return answer.message if answer else ""


STATIC = NetworkPlan(method="static")


def test_what_is_missing_is_named() -> None:
    assert lack(BRIDGE, CARD) == "bridge br0 on ens3 is not there yet"
    assert "no DHCP server answered on ens3" in lack(NetworkPlan(), CARD)
    assert "has no carrier" in lack(NetworkPlan(), nic(2, "ens3", "192.0.2.77/24", up=False))
    assert lack(STATIC, nic(2, "ens3", "198.51.100.1/24")) == "ens3 does not have its address 192.0.2.1/24 yet"
    assert lack(STATIC, nic(2, "ens3", "192.0.2.1/24")) == ""
    assert lack(NetworkPlan(), nic(2, "ens3", "192.0.2.77/24", "fe80::1/64")) == ""


@pytest.mark.parametrize(
    ("plan", "card", "again"),
    [
        (BRIDGE, CARD, True),
        (NetworkPlan(), CARD, False),
        (STATIC, nic(2, "ens3", "198.51.100.1/24"), True),
        (STATIC, nic(2, "ens3", "192.0.2.1/24"), False),
    ],
)
def test_a_reload_that_was_cut_off_is_done_again(plan: NetworkPlan, card: dict[str, object], again: bool) -> None:
    there = links(card)
    assert unapplied(want(plan, SLOT, None, there), there) is again


def test_link_local_is_no_management_address() -> None:
    there = links(nic(2, "ens3", "fe80::1/64"))
    assert management_address(want(NetworkPlan(), SLOT, None, there), there) is None


def test_the_bridges_addresses_are_announced() -> None:
    there = links(nic(2, "ens3"), nic(3, "br0", "fe80::1/64", "192.0.2.1/24", kind="bridge"))
    assert reachable_addresses(there, "192.0.2.1") == ("192.0.2.1", "fe80::1")
    assert reachable_addresses(there, None) == ()


def test_only_our_files_are_synced(tmp_path: Path) -> None:
    (tmp_path / "10-trivet-old.network").write_text("old")
    (tmp_path / "50-other.network").write_text("theirs")
    assert sync_files(tmp_path, {"10-trivet-a.network": "a"})
    assert {path.name for path in tmp_path.iterdir()} == {"10-trivet-a.network", "50-other.network"}
    assert not sync_files(tmp_path, {"10-trivet-a.network": "a"})
    assert sync_files(tmp_path, {"10-trivet-a.network": "b"})


def test_an_empty_file_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert write_changed(path, "a")
    assert write_changed(path, "")
    assert not path.exists()
    assert not write_changed(path, "")


def test_time_servers_and_proxy() -> None:
    assert chrony_sources(("ntp.example.org",)) == "server ntp.example.org iburst\n"
    assert proxy_environment(None) == ""
    assert "https_proxy=http://proxy:3128\n" in proxy_environment("http://proxy:3128")


def test_the_libvirt_network_is_on_the_bridge() -> None:
    assert document(GuestBridge()) == (
        "<network><name>guests</name><forward mode='bridge'/><bridge name='br0'/></network>"
    )
