"""Multicast, members over real mutual TLS, DNS servers and stable names."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from firstboot import paths
from firstboot.cluster.answers import Answers
from firstboot.cluster.certificates import new_key
from firstboot.cluster.claims import Ballot
from firstboot.cluster.client import look
from firstboot.cluster.clocks import Reading
from firstboot.cluster.events import Endpoint, Identity
from firstboot.cluster.likeness import Facts
from firstboot.cluster.server import AdmissionServer, Answer
from firstboot.cluster.tls import client_context, server_context
from firstboot.cluster.views import View
from firstboot.context import Member
from firstboot.doctor import dnsquery, members, multicast, naming
from firstboot.doctor.bounded import Late, Raised, Result, Value
from firstboot.doctor.members import Seen
from firstboot.doctor.multicast import GROUP4, GROUP6, Heard
from firstboot.doctor.node import Node
from firstboot.doctor.report import Verdict
from firstboot.errors import TrivetError
from firstboot.nodekey import NodeKey
from firstboot.reporter import utc_now
from firstboot.seed import Overrides
from firstboot.state import JournalDocument, KnownMember
from firstboot.status import NodeStatus, PeerStatus, PhaseState
from tests.unit.firstboot.doctor.nodes import node
from tests.unit.firstboot.network.machine import BRIDGE, links, nic
from tests.unit.firstboot.sites import credentials, plan, site

ROOT, SEEDS = site()
KEY = NodeKey(new_key())
PEERS = {1: f"{1:032x}", 2: KEY.node_id, 3: f"{3:032x}"}
OWN, *OTHERS = plan().slots
HOME = links(nic(2, "ens3", "192.0.2.1/24", "fe80::1/64"))[1:]

IGMP = """Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3
\t\t\t\t010000E0     1 0:00000000\t\t0
4\tbr0       :     2      V3
\t\t\t\tFB0000E0     1 0:00000000\t\t0
\t\t\t\t010000E0     1 0:00000000\t\t0
"""
IGMP6 = """1    lo              ff020000000000000000000000000001     1 0000000C 0
4    br0             ff0200000000000000000000000000fb     1 00000004 0
"""


def test_memberships_are_read_by_interface() -> None:
    assert multicast.parse_igmp(IGMP) == {("lo", "224.0.0.1"), ("br0", GROUP4), ("br0", "224.0.0.1")}
    assert multicast.parse_igmp6(IGMP6) == {("lo", "ff02::1"), ("br0", GROUP6)}


@pytest.mark.parametrize(
    ("groups", "expected", "verdict"),
    [
        ({("ens3", GROUP4), ("ens3", GROUP6)}, True, "pass"),
        ({("ens3", GROUP4)}, True, "fail"),
        ({("ens4", GROUP4), ("ens4", GROUP6)}, True, "fail"),
        (set(), False, "not-applicable"),
    ],
)
def test_somebody_listens_on_the_interface(groups: set[tuple[str, str]], expected: bool, verdict: str) -> None:
    assert multicast.judge_membership(HOME, frozenset(groups), expected=expected).verdict == verdict


def test_a_family_without_address_is_not_asked_for() -> None:
    only4 = links(nic(2, "ens3", "192.0.2.1/24"))[1:]
    assert multicast.judge_membership(only4, frozenset({("ens3", GROUP4)}), expected=True).verdict is Verdict.PASS


def test_without_a_seed_every_cable_is_tried_and_with_one_the_management_interface() -> None:
    there = links(
        nic(2, "ens3", "192.0.2.1/24"), nic(3, "ens4", "198.51.100.1/24"), nic(4, "ens5", "203.0.113.1/24", up=False)
    )
    assert [link.name for link in multicast.interfaces(Node(), there)] == ["ens3", "ens4"]
    bridged = node("admit").claimed_seed.plan.model_copy(update={"network": BRIDGE})
    there = links(nic(2, "ens3"), nic(3, "br0", "192.0.2.1/24", kind="bridge"))
    assert [link.name for link in multicast.interfaces(node("admit", plan=bridged), there)] == ["br0"]


def test_a_lost_echo_is_named_with_its_family() -> None:
    assert multicast.judge_echo(HOME[0], {GROUP4: "", GROUP6: ""}).verdict is Verdict.PASS
    judged = multicast.judge_echo(HOME[0], {GROUP4: "", GROUP6: "did not come back"})
    assert judged.verdict is Verdict.FAIL
    assert judged.evidence == "ff02::fb: did not come back"


def heard(*slots: int) -> list[Heard]:
    return [Heard(f"{number:032x}", slot, "admit") for number, slot in enumerate(slots)]


@pytest.mark.parametrize(
    ("slots", "announces", "verdict", "words"),
    [
        ((1, 2, 3), True, "pass", "node2 (phase admit), node3 (phase admit)"),
        ((1, 3), True, "warn", "not heard: node2"),
        ((1,), True, "warn", "not heard: node2, node3"),
        ((2, 3), True, "fail", "own announcement"),
        ((2, 3), False, "pass", "node2"),
        ((1, 2, 2, 3), True, "warn", "slot 2: nodes 000000000000, 000000000000"),
        ((1, 2, 3, 9), True, "pass", "node2"),
    ],
)
def test_who_was_heard(slots: tuple[int, ...], announces: bool, verdict: str, words: str) -> None:
    judged = multicast.judge_heard(OWN, OTHERS, heard(*slots), announces=announces)
    assert judged.verdict == verdict
    assert words in judged.evidence


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AdmissionServer]:
    """Slot 2's admission service on loopback, at the port where the doctor looks."""
    identity = Identity(2, PEERS[2], "5" * 32, {slot: f"node{slot}" for slot in PEERS}, run="7" * 32)
    ballot = Ballot(tmp_path / "claims.json", identity, site_id=ROOT.site_id, clock=lambda: 0.0)
    view = View(node_id=PEERS[2], slot=2, seed_id=SEEDS[1].slot.seed_id, phase="pool")
    status = NodeStatus(phase="pool", state=PhaseState.WAITING, reason="test", since=utc_now())
    answers = Answers(
        ballot,
        view=lambda _: view,
        status=lambda: status,
        met=lambda *_: None,
        enrol=lambda _: Answer(409, {}),
        ssh_folder=tmp_path,
    )
    made = AdmissionServer(
        server_context(credentials(SEEDS[1], KEY)), site_id=ROOT.site_id, port=0, host="127.0.0.1", answer=answers
    )
    monkeypatch.setattr(paths, "ADMISSION_PORT", made.port)
    monkeypatch.setattr(Node, "credentials", credentials(SEEDS[0]))
    made.serve(poll_s=0.02)
    yield made
    made.close()
    assert ballot.claims == {2: PEERS[2]}, "a look must claim nothing"


def test_a_look_has_view_and_clock(server: AdmissionServer) -> None:
    found = look(Endpoint("127.0.0.1", server.port), client_context(credentials(SEEDS[0])), site_id=ROOT.site_id)
    assert (found.slot, found.view.phase) == (2, "pool")
    assert found.clock is not None
    assert abs(found.clock.shown_s - utc_now().timestamp()) < 60


def test_members_are_looked_at_where_they_answered_last(server: AdmissionServer) -> None:
    known = {
        2: KnownMember(node_id=PEERS[2], address="127.0.0.1"),
        3: KnownMember(node_id=PEERS[3], address="127.0.0.1"),
    }
    seed = SEEDS[0].model_copy(update={"overrides": Overrides(peers=("127.0.0.1",))})
    two, three, named = members.check(Node(seed=seed, journal=JournalDocument(members=known)))
    assert (two.verdict, two.about) == (Verdict.PASS, "node2 (127.0.0.1)")
    assert "its clock is" in two.evidence
    assert (three.verdict, three.evidence) == (Verdict.FAIL, "slot 2 answers there")
    assert (named.verdict, named.about) == (Verdict.PASS, "seed's peer 127.0.0.1")


MEMBER = Member(2, "node2", PEERS[2], "192.0.2.2", "node2.demo.trivet.internal")


def seen(skew_s: float | None, *, node_id: str = PEERS[2]) -> Value[Seen]:
    view = View(node_id=node_id, slot=2, seed_id="6" * 32, phase="pool")
    return Value(Seen(members.Look(2, view, None), skew_s, 1.0))


@pytest.mark.parametrize(
    ("result", "verdict", "words"),
    [
        (seen(0.2), "pass", "+0.2 s"),
        (seen(-5.9), "pass", "-5.9 s"),
        (seen(-6.1), "warn", "-6.1 s"),
        (seen(3600.0), "warn", "+3600.0 s"),
        (seen(None), "pass", "answers as slot 2"),
        (seen(0.0, node_id="f" * 32), "fail", "another machine"),
        (Raised(TrivetError("192.0.2.2 port 7463: no answer in time")), "fail", "no answer in time"),
        (Raised(KeyError("oops")), "fail", "KeyError"),
        (Late(45.0), "fail", "45 s"),
    ],
)
def test_members_are_judged(result: Result[Seen], verdict: str, words: str) -> None:
    judged = members.judge_member(OTHERS[0], MEMBER, result)
    assert judged.verdict == verdict
    assert words in judged.evidence


def test_skew_is_measured_against_our_clock_now() -> None:
    read = Reading(shown_s=1000.0, at_s=50.0, error_s=0.6)
    assert members.skew(read, here_s=1003.0, now_s=53.0) == (0.0, 0.6)
    assert members.skew(read, here_s=990.0, now_s=50.0) == (10.0, 0.6)
    assert members.skew(None, 0.0, 0.0)[0] is None


def marks(**more: str) -> Facts:
    return Facts.model_validate({"host_name": "node1", "machine_id": "1" * 32, **more})


def test_marks_that_two_members_have_are_named() -> None:
    names = {1: "node1", 2: "node2"}
    (good,) = members.judge_marks({1: marks(), 2: marks(host_name="node2", machine_id="2" * 32)}, names)
    assert (good.verdict, good.about) == (Verdict.PASS, "duplicates")
    (warned,) = members.judge_marks({1: marks(), 2: marks(host_name="node2")}, names)
    assert (warned.verdict, warned.evidence) == (Verdict.WARN, "node1 and node2 have the same machine-id")
    uuid = "11111111-2222-4333-8444-555555555555"
    twice = {1: marks(glusterd=uuid), 2: marks(host_name="node2", machine_id="2" * 32, glusterd=uuid)}
    (failed,) = members.judge_marks(twice, names)
    assert (failed.verdict, failed.evidence) == (Verdict.FAIL, f"node1 and node2 have the same glusterd UUID {uuid}")
    assert failed.hint
    assert list(members.judge_marks({1: marks()}, names)) == []


def test_silence_before_admission_is_told_apart() -> None:
    assert members.judge_unknown(OTHERS[0], admitted=False).verdict is Verdict.NOT_APPLICABLE
    assert members.judge_unknown(OTHERS[0], admitted=True).verdict is Verdict.WARN


def test_a_peers_newer_address_is_taken_from_the_status() -> None:
    moved = node(
        "formed", peers=(PeerStatus(name="node2", slot=2, node_id=PEERS[2], address="192.0.2.99", connected=True),)
    )
    assert {slot: member.address for slot, member in moved.members.items()} == {
        1: "192.0.2.1",
        2: "192.0.2.99",
        3: "192.0.2.3",
    }


def test_a_dns_question_on_the_wire() -> None:
    assert dnsquery.query(0xABCD, "", dnsquery.NS, flags=dnsquery.RECURSION_DESIRED).hex() == (
        "abcd01000001000000000000" + "0000020001"
    )
    assert dnsquery.query(0, "ab.local", dnsquery.A).hex().endswith("026162056c6f63616c00" + "00010001")
    answer = bytes.fromhex("abcd81820001000000000000")
    assert dnsquery.answer_code(answer, 0xABCD) == 2
    assert dnsquery.answer_code(answer, 0xABCE) is None
    assert dnsquery.answer_code(answer[:11], 0xABCD) is None
    assert dnsquery.answer_code(dnsquery.query(0xABCD, "", dnsquery.NS), 0xABCD) is None


def test_a_server_is_asked_over_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "ANSWER_S", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert naming.ask(IPv4Address("127.0.0.1"), port=port) is None
        unanswered = [server.recvfrom(512)[0] for _ in range(naming.TRIES)]
        assert unanswered[0] == unanswered[1]

        def serve() -> None:
            question, asker = server.recvfrom(512)
            server.sendto(b"rubbish", asker)
            server.sendto(question[:2] + b"\x81\x85" + question[4:], asker)

        monkeypatch.setattr(naming, "ANSWER_S", 10.0)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert naming.ask(IPv4Address("127.0.0.1"), port=port) == 5
        thread.join(10)


@pytest.mark.parametrize(("code", "verdict"), [(0, "pass"), (5, "pass"), (2, "warn"), (None, "fail")])
def test_a_server_that_answers_is_one(code: int | None, verdict: str) -> None:
    assert naming.judge_server(IPv4Address("192.0.2.53"), code).verdict == verdict


def test_stable_names_lead_to_where_members_answered() -> None:
    name = MEMBER.host_name
    assert naming.judge_names({2: MEMBER}, {name: frozenset({"192.0.2.2"})}).verdict is Verdict.PASS
    for resolved, words in (
        (frozenset({"192.0.2.9"}), f"{name} leads to 192.0.2.9, it answered at 192.0.2.2"),
        (frozenset({"192.0.2.2", "192.0.2.9"}), "leads to 192.0.2.2, 192.0.2.9"),
        (frozenset(), "leads to nowhere"),
    ):
        judged = naming.judge_names({2: MEMBER}, {name: resolved})
        assert judged.verdict is Verdict.FAIL
        assert words in judged.evidence
