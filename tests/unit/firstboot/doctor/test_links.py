"""Link, ARP and path MTU: judgements over measured facts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from firstboot.context import Member
from firstboot.doctor import arp, link, pathmtu
from firstboot.doctor.pathmtu import Echoes
from firstboot.doctor.report import Judgement, Verdict
from firstboot.plan import Bond, Bridge, Interface, NetworkPlan, StorageNetwork
from tests.unit.firstboot.network.machine import BRIDGE, links, member, nic, wanted_on

ADDRESS = IPv4Address("192.0.2.1")
STATIC = NetworkPlan(method="static", gateway=IPv4Address("192.0.2.254"))
MEMBER = Member(2, "node2", "b" * 32, "192.0.2.2", "node2.demo.trivet.internal")
PATH = pathmtu.Path("node2", "192.0.2.2", 9000, "network.mtu")


def judged(plan: NetworkPlan, *raw: dict[str, object], name: str = "management") -> Judgement:
    wanted = wanted_on(plan, *raw)
    use = wanted.topology.use(name)
    assert use is not None
    return link.judge_network(wanted, use, links(*raw))


def test_the_address_is_judged_in_the_phases_words() -> None:
    found = judged(BRIDGE, nic(2, "ens3"), nic(3, "br0", "192.0.2.7/24", kind="bridge"))
    assert found.verdict is Verdict.PASS
    assert found.evidence == "192.0.2.7 on br0 over ens3 (52:54:00:00:00:02), with carrier"
    found = judged(BRIDGE, nic(2, "ens3", up=False), nic(3, "br0", "192.0.2.7/24", kind="bridge"))
    assert (found.verdict, found.evidence) == (Verdict.FAIL, "ens3 (52:54:00:00:00:02) has no carrier")
    assert "cable" in found.hint


def test_storage_is_judged_as_management_is() -> None:
    plan = NetworkPlan(storage=StorageNetwork(interface=Interface(name="ens4"), vlan=20))
    home = nic(2, "ens3", "192.0.2.7/24")
    found = judged(plan, home, nic(3, "ens4"), nic(4, "vlan20", "198.51.100.7/24", kind="vlan"), name="storage")
    assert found.about == "storage"
    assert found.evidence == "198.51.100.7 on vlan20 over ens4 (52:54:00:00:00:03), with carrier"
    found = judged(plan, home, nic(3, "ens4"), name="storage")
    assert (found.verdict, found.evidence) == (Verdict.FAIL, "vlan20 (VLAN 20 on ens4) is not there yet")


def test_a_guest_bridge_without_carrier_is_a_warning() -> None:
    plan = NetworkPlan(bridges=(Bridge(name="br1", libvirt_network="more", interface=Interface(name="ens4")),))
    raw = (nic(2, "ens3", "192.0.2.7/24"), nic(4, "br1", kind="bridge"))
    found = judged(plan, *raw, nic(3, "ens4", up=False), name="br1")
    assert (found.verdict, found.evidence) == (Verdict.WARN, "ens4 (52:54:00:00:00:03) has no carrier")
    found = judged(plan, *raw, nic(3, "ens4"), name="br1")
    assert (found.verdict, found.evidence) == (Verdict.PASS, "br1 over ens4 (52:54:00:00:00:03)")


@pytest.mark.parametrize(
    ("least", "second", "verdict", "evidence"),
    [
        (1, True, Verdict.PASS, "active-backup, 2 of 2 members with carrier"),
        (1, False, Verdict.WARN, "1 of 2 members with carrier: eno2 (52:54:00:00:00:03) has no carrier"),
        (2, False, Verdict.FAIL, "1 of 2 members with carrier: eno2 (52:54:00:00:00:03) has no carrier"),
    ],
)
def test_a_bond_without_all_its_members(least: int, second: bool, verdict: Verdict, evidence: str) -> None:
    bond = Bond(name="bond0", members=(Interface(name="eno*"),), min_members=least)
    plan = NetworkPlan(interface=Interface(name="bond0"), bonds=(bond,))
    raw = (member(2, "eno1", "bond0", of=2), member(3, "eno2", "bond0", of=2, up=second))
    raw = (*raw, nic(9, "bond0", kind="bond"))
    found = link.judge_bond(wanted_on(plan, *raw).topology.bonds[0], links(*raw))
    assert (found.verdict, found.evidence, found.about) == (verdict, evidence, "bond0")


@pytest.mark.parametrize(
    ("card", "bridge", "verdict"), [(9000, 9000, "pass"), (9000, 1500, "fail"), (1500, 9000, "fail")]
)
def test_both_the_card_and_the_bridge_have_the_planned_mtu(card: int, bridge: int, verdict: str) -> None:
    plan = BRIDGE.model_copy(update={"mtu": 9000})
    raw = (nic(2, "ens3", mtu=card), nic(3, "br0", kind="bridge", mtu=bridge), nic(4, "ens4"))
    found = link.judge_mtu(wanted_on(plan, *raw), links(*raw))
    assert found.verdict == verdict
    assert f"br0 {bridge}" in found.evidence


@pytest.mark.parametrize(
    ("plan", "routes", "verdict"),
    [
        (STATIC, '[{"dst": "default", "gateway": "192.0.2.254", "dev": "ens3", "flags": []}]', "pass"),
        (STATIC, '[{"dst": "default", "gateway": "192.0.2.254", "dev": "ens4", "flags": []}]', "fail"),
        (STATIC, '[{"dst": "default", "gateway": "192.0.2.9", "dev": "ens3", "flags": []}]', "fail"),
        (STATIC, "[]", "fail"),
        (STATIC, "", "fail"),
        (NetworkPlan(), '[{"dst": "default", "dev": "ppp0"}]', "not-applicable"),
    ],
)
def test_the_default_route_is_the_planned_one(plan: NetworkPlan, routes: str, verdict: str) -> None:
    assert link.judge_route(plan, "ens3", link.parse_routes(routes)).verdict == verdict


def reply(mac: str, address: str) -> bytes:
    """An ARP answer as a card receives it, padded to Ethernet's least length."""
    sender = bytes.fromhex(mac.replace(":", "")) + IPv4Address(address).packed
    return b"\x52\x54\0\0\0\1" + sender[:6] + b"\x08\x06\0\1\x08\0\6\4\0\2" + sender + bytes(10) + bytes(18)


def test_a_probe_claims_nothing() -> None:
    frame = arp.probe("52:54:00:00:00:01", ADDRESS)
    assert (
        frame.hex()
        == (
            "ffffffffffff525400000001"  # to all, from us
            "0806000108000604" + "0001"  # ARP over Ethernet and IPv4: a request
            "525400000001" + "00000000"  # our MAC, no address
            "000000000000" + "c0000201"  # whose is 192.0.2.1
        )
    )
    assert arp.user_of(frame, ADDRESS) is None


def test_only_a_sender_with_the_address_uses_it() -> None:
    assert arp.user_of(reply("52:54:00:00:00:09", "192.0.2.1"), ADDRESS) == "52:54:00:00:00:09"
    assert arp.user_of(reply("52:54:00:00:00:09", "192.0.2.3"), ADDRESS) is None
    assert arp.user_of(reply("52:54:00:00:00:09", "192.0.2.1")[:41], ADDRESS) is None
    ipv4 = reply("52:54:00:00:00:09", "192.0.2.1").replace(b"\x08\x06", b"\x08\x00", 1)
    assert arp.user_of(ipv4, ADDRESS) is None


def test_a_second_user_of_the_address_fails() -> None:
    assert link.judge_claimants(ADDRESS, frozenset()).verdict is Verdict.PASS
    judged = link.judge_claimants(ADDRESS, frozenset({"52:54:00:00:00:09"}))
    assert judged.verdict is Verdict.FAIL
    assert "52:54:00:00:00:09" in judged.evidence


@pytest.mark.parametrize(
    ("echoes", "verdict"),
    [
        (Echoes(whole=True, small=True), "pass"),
        (Echoes(whole=False, small=True), "fail"),
        (Echoes(whole=False, small=False), "warn"),
    ],
)
def test_only_loss_by_size_is_a_failure(echoes: Echoes, verdict: str) -> None:
    assert pathmtu.judge(PATH, echoes).verdict == verdict


def test_pings_payload_leaves_room_for_the_headers() -> None:
    def size(address: str) -> str:
        words = pathmtu.argv(address, 1500)
        assert words[words.index("-M") + 1] == "do"
        assert words[-1] == address
        return words[words.index("-s") + 1]

    assert size("192.0.2.2") == "1472"
    assert size("fe80::2%br0") == "1452"


def test_small_packets_are_sent_only_when_whole_ones_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []

    def answers(address: str, size_bytes: int) -> bool:
        sent.append(size_bytes)
        return size_bytes <= 1500

    monkeypatch.setattr(pathmtu, "answers", answers)
    assert pathmtu.ping("192.0.2.2", 1500) == Echoes(whole=True, small=True)
    assert pathmtu.ping("192.0.2.2", 9000) == Echoes(whole=False, small=True)
    assert sent == [1500, 9000, 576]


def test_the_finding_names_member_and_sizes() -> None:
    judged = pathmtu.judge(PATH, Echoes(whole=False, small=True))
    assert judged.about == "node2 (192.0.2.2)"
    assert "576" in judged.evidence
    assert "9000" in judged.hint
    assert "network.mtu" in judged.hint


def test_the_storage_network_is_a_way_of_its_own() -> None:
    network = NetworkPlan(storage=StorageNetwork(vlan=20, mtu=9000))
    apart = replace(MEMBER, storage_address="198.51.100.2")
    assert [(p.address, p.mtu, p.key) for p in pathmtu.paths(network, [apart, MEMBER])] == [
        ("192.0.2.2", 1500, "network.mtu"),
        ("192.0.2.2", 1500, "network.mtu"),
        ("198.51.100.2", 9000, "network.storage.mtu"),
    ]
