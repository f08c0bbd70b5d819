"""The doctor's look at what closes Gluster: certificate, TLS, packet filter."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from firstboot import paths
from firstboot.cluster.authority import RENEW_LEFT
from firstboot.context import Member
from firstboot.doctor import closed
from firstboot.doctor.bounded import Late, Raised, Value
from firstboot.doctor.report import Judgement, Verdict
from firstboot.gluster import closing
from firstboot.gluster.handshake import Handshake
from firstboot.network import packetfilter
from tests.unit.firstboot.doctor.nodes import node
from tests.unit.firstboot.gluster.test_credentials import KEY, LIFE, MATERIAL, NOW

ADDRESSES = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
MEMBER = Member(2, "node2", f"{2:032x}", "192.0.2.2", "node2.lab.trivet.internal")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which everything is in place."""
    monkeypatch.setattr(paths, "TLS_FOLDERS", (tmp_path / "ssl",))
    for name in ("SECURE_ACCESS", "GLUSTERD_OPTIONS", "PACKET_FILTER"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    paths.SECURE_ACCESS.write_text("")
    paths.GLUSTERD_OPTIONS.write_text("option base-port 50152\noption max-port 52151\n")
    for link, target in closing.links().items():
        closing.place_link(link, target)
    packetfilter.store(packetfilter.ruleset(ADDRESSES))
    monkeypatch.setattr(packetfilter, "read", lambda: packetfilter.ruleset(ADDRESSES))
    return tmp_path


def failed(judgement: Judgement, *words: str) -> bool:
    return judgement.verdict is Verdict.FAIL and bool(judgement.hint) and all(w in judgement.evidence for w in words)


def test_nothing_is_due_before_its_phase() -> None:
    early = node("found")
    for check in (closed.check_certificate, closed.check_tls, closed.check_filter):
        assert [judgement.verdict for judgement in check(early)] == [Verdict.NOT_APPLICABLE]


def test_a_formed_node_where_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    formed = node("formed")
    monkeypatch.setattr(closed, "attempt", lambda address: Handshake(who(address)))
    judged = [*closed.check_tls(formed), *closed.check_filter(formed)]
    assert [j.verdict for j in judged] == [Verdict.PASS] * 7, judged
    assert [j.about for j in judged] == [
        "files",
        "brick ports",
        "glusterd of this node (127.0.0.1)",
        "glusterd of node2 (192.0.2.2)",
        "glusterd of node3 (192.0.2.3)",
        "",
        "strangers",
    ]


def who(address: str) -> str:
    """The node id that answers there; this node's is unknown to the journal of the test."""
    return f"{int(address.rpartition('.')[2]):032x}"


def test_the_certificate() -> None:
    fresh = closed.judge_certificate(MATERIAL, KEY.node_id, NOW)
    assert fresh.verdict is Verdict.PASS
    assert "signed by demo cluster authority" in fresh.evidence
    assert "730 days left" in fresh.evidence
    due = closed.judge_certificate(MATERIAL, KEY.node_id, NOW + LIFE - RENEW_LEFT + timedelta(days=1))
    assert due.verdict is Verdict.PASS
    overdue = closed.judge_certificate(MATERIAL, KEY.node_id, NOW + LIFE - RENEW_LEFT + timedelta(days=8))
    assert overdue.verdict is Verdict.WARN
    assert "should have been renewed" in overdue.evidence
    assert failed(closed.judge_certificate(MATERIAL, KEY.node_id, NOW + LIFE * 2), "expired on")


def test_files_that_are_missing_or_others(machine: Path) -> None:
    link = machine / "ssl" / "glusterfs.ca"
    link.unlink()
    assert failed(closed.judge_files(), str(link))
    paths.SECURE_ACCESS.unlink()
    assert failed(closed.judge_files(), "would obey anybody")


def test_brick_ports_outside_of_the_filter() -> None:
    paths.GLUSTERD_OPTIONS.write_text("option max-port 60999\n")
    assert failed(closed.judge_ports(), "49152 to 60999")
    paths.GLUSTERD_OPTIONS.unlink()
    assert failed(closed.judge_ports(), "is not there")


def test_handshakes() -> None:
    assert closed.judge_handshake(MEMBER, Value(Handshake(MEMBER.node_id))).verdict is Verdict.PASS
    assert failed(closed.judge_handshake(MEMBER, Value(Handshake(trouble="speaks no TLS"))), "speaks no TLS")
    assert failed(closed.judge_handshake(MEMBER, Value(Handshake("f00d"))), "node f00d answers there")
    assert failed(closed.judge_handshake(MEMBER, Late(45)), "no answer within 45 s")
    assert failed(closed.judge_handshake(MEMBER, Raised(OSError("no such file"))), "own certificate", "no such file")


def test_the_packet_filter() -> None:
    wanted = packetfilter.ruleset(ADDRESSES)
    assert closed.judge_filter(wanted, ADDRESSES).verdict is Verdict.PASS
    assert failed(closed.judge_filter(None, ADDRESSES), "is not loaded")
    assert failed(closed.judge_filter(packetfilter.ruleset(ADDRESSES[:2]), ADDRESSES), "192.0.2.3")
    packetfilter.store(packetfilter.ruleset(ADDRESSES[:2]))
    assert failed(closed.judge_filter(wanted, ADDRESSES), "the next boot")


def test_strangers_are_named() -> None:
    assert closed.judge_strangers({}).verdict is Verdict.PASS
    judged = closed.judge_strangers({"192.0.2.77": 12})
    assert judged.verdict is Verdict.WARN
    assert "192.0.2.77 (12 packets)" in judged.evidence
