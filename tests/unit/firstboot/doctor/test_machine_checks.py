"""Agent, seed, clock, services, ports, disks and Gluster: judgements over measured facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firstboot.chrony import parse_tracking
from firstboot.disks.records import DiskRecords
from firstboot.disks.selection import choose
from firstboot.doctor import agent, brickdisks, ports, seeds, storage, timekeeping, units
from firstboot.doctor.node import Node
from firstboot.doctor.report import Verdict
from firstboot.doctor.seeds import Medium
from firstboot.doctor.units import Unit
from firstboot.errors import BadInputError
from firstboot.machine import Machine
from firstboot.plan import Match, Mode
from firstboot.seedmedia import Found
from firstboot.status import BrickStatus, NodeStatus, PeerStatus, PhaseState, VolumeStatus
from tests.unit.firstboot.disks.made import SYSTEM, blank, want
from tests.unit.firstboot.doctor.nodes import SINCE, node
from tests.unit.firstboot.sites import issue, site

ROOT, SEEDS = site()
STORED = Found(SEEDS[0], "/var/lib/trivet/seed.json")
LATER = SINCE + timedelta(minutes=90)


def status(state: PhaseState, *, hint: str = "") -> NodeStatus:
    return NodeStatus(phase="admit", state=state, reason="testing", hint=hint, since=SINCE)


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (PhaseState.DONE, "pass"),
        (PhaseState.WAITING, "warn"),
        (PhaseState.RUNNING, "warn"),
        (PhaseState.FAILED, "fail"),
    ],
)
def test_the_agents_own_word_is_taken_with_its_age(state: PhaseState, verdict: str) -> None:
    judged = agent.judge_status(status(state, hint="do this"), alive=True, now=LATER)
    assert judged.verdict == verdict
    assert judged.evidence == f"admit ({state.value}) for 90 min: testing"
    assert judged.hint == ("do this" if verdict != "pass" else "")
    dead = agent.judge_status(status(state), alive=False, now=LATER)
    assert dead.evidence.startswith("last words: ")


def test_silence_of_a_living_agent_fails_and_of_none_is_told_once() -> None:
    assert agent.judge_status(None, alive=True, now=LATER).verdict is Verdict.FAIL
    assert agent.judge_status(None, alive=False, now=LATER).verdict is Verdict.NOT_APPLICABLE
    assert agent.judge_process(None).verdict is Verdict.FAIL


def test_problems_of_the_reconciler_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    troubled = status(PhaseState.DONE).model_copy(update={"problems": ("disks: gone",)})
    found = [one for one in agent.check(Node(status=troubled, agent_pid=7)) if one.about == "problem"]
    assert [(one.verdict, one.evidence) for one in found] == [(Verdict.FAIL, "disks: gone")]


def medium(number: int, device: str = "/dev/vdb") -> Medium:
    return Medium(device, Found(SEEDS[number - 1], device))


BROKEN = Medium("/dev/vdc", trouble=BadInputError("seed on /dev/vdc is damaged", hint="write it again"))


@pytest.mark.parametrize(
    ("stored", "media", "verdict", "words"),
    [
        (None, (), "fail", "no medium labelled TRIVET-SEED"),
        (None, (Medium("/dev/vda4"),), "fail", "without one: /dev/vda4"),
        (None, (Medium("/dev/vda4"), medium(1)), "warn", "slot 1 of site demo"),
        (None, (medium(1), medium(2, "/dev/vdc")), "fail", "two different seeds"),
        (None, (BROKEN,), "fail", "damaged"),
        (STORED, (), "pass", "none, none is needed"),
        (STORED, (medium(1),), "pass", "media with it: /dev/vdb"),
        (STORED, (medium(2),), "fail", "a seed of another slot"),
        (STORED, (BROKEN,), "warn", "besides: seed on /dev/vdc is damaged"),
    ],
)
def test_media_are_judged_by_the_agents_rules(
    stored: Found | None, media: tuple[Medium, ...], verdict: str, words: str
) -> None:
    judged = seeds.judge_media(stored, media)
    assert judged.verdict == verdict
    assert words in judged.evidence


def test_a_seed_that_proves_nothing_fails() -> None:
    mine = Machine(("52:54:00:00:00:01",), "")
    assert seeds.judge_proof(SEEDS[0], mine).verdict is Verdict.PASS
    stolen = SEEDS[0].model_copy(update={"slot": issue(site()[0], 1).slot})
    assert seeds.judge_proof(stolen, mine).verdict is Verdict.FAIL
    slots = [s.model_copy(update={"match": Match(mac="52:54:00:00:00:99")}) for s in SEEDS[0].plan.slots]
    plan = SEEDS[0].plan.model_copy(update={"slots": tuple(slots)})
    assert "52:54:00:00:00:99" in seeds.judge_proof(SEEDS[0].model_copy(update={"plan": plan}), mine).evidence


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ("2019-12-31", "fail"),
        ("2020-01-01", "pass"),
        ("2099-11-30", "pass"),
        ("2099-12-15", "warn"),
        ("2100-01-02", "fail"),
    ],
)
def test_certificates_have_their_time(now: str, verdict: str) -> None:
    begin, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, tzinfo=UTC)
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert seeds.judge_window("slot", begin, end, now=at).verdict == verdict


def test_the_image_is_the_floor_of_the_clock() -> None:
    stamp: dict[str, object] = {"epoch": 1_700_000_000}
    assert timekeeping.judge_floor(1_700_000_001.0, stamp).verdict is Verdict.PASS
    judged = timekeeping.judge_floor(0.0, stamp)
    assert judged.verdict is Verdict.FAIL
    assert "1970-01-01" in judged.evidence
    assert timekeeping.judge_floor(0.0, {}).verdict is Verdict.NOT_APPLICABLE


FOLLOWS = (
    "C0000235,ntp.example.org,3,1772600000.123456789,{offset},0.000001,0.00002,-7.5,0.01,0.2,0.01,0.002,64.5,Normal\n"
)
MEMBER = "C0000202,192.0.2.2,11,1795504583.494621541,0.000011238,-0.0,0.0,-0.3,-0.0,0.3,0.0,0.0,2.0,Normal\n"
LOCAL = "7F7F0101,,10,1795504553.107154089,0.000000000,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,Normal\n"
ALONE = "00000000,,0,0.000000000,0.000000000,0.0,0.0,-7.5,0.0,0.0,1.0,1.0,0.0,Not synchronised\n"


@pytest.mark.parametrize(
    ("text", "verdict", "words"),
    [
        (FOLLOWS.format(offset="-0.000012"), "pass", "ntp.example.org (stratum 3), off by 0.000012 s"),
        (FOLLOWS.format(offset="1.5"), "warn", "off by 1.500000 s"),
        (FOLLOWS.format(offset="-1.5"), "warn", "off by 1.500000 s"),
        (ALONE, "warn", "follows no time server; the plan names 192.0.2.123"),
        (
            MEMBER,
            "warn",
            "follows node2, a member (stratum 11), off by 0.000011 s; the plan names 192.0.2.123, and none",
        ),
        (LOCAL, "warn", "the members follow this node's own clock; the plan names 192.0.2.123, and none"),
    ],
)
def test_chrony_is_judged(text: str, verdict: str, words: str) -> None:
    judged = timekeeping.judge_tracking(parse_tracking(text), ("192.0.2.123",), {"192.0.2.2": "node2"})
    assert judged.verdict == verdict
    assert words in judged.evidence


def test_a_member_is_followed_where_the_plan_has_no_server() -> None:
    member, local = parse_tracking(MEMBER), parse_tracking(LOCAL)
    alone = timekeeping.judge_tracking(member, (), {"192.0.2.2": "node2"})
    assert (alone.verdict, "follows node2, a member (stratum 11)" in alone.evidence) == (Verdict.PASS, True)
    assert timekeeping.judge_tracking(local, (), {}).evidence == "the members follow this node's own clock"


SHOWN = """Id=trivet-firstboot.service
LoadState=loaded
ActiveState=active
SubState=running
Result=success
NRestarts=2

Id=glusterd.service
LoadState=not-found
ActiveState=inactive
SubState=dead

"""


def unit(active: str = "active", *, name: str = "chrony.service", load: str = "loaded", restarts: int = 0) -> Unit:
    return Unit(name, load, active, "sub", "exit-code", restarts)


def test_units_are_typed_at_the_door() -> None:
    assert units.parse_units(SHOWN) == (
        Unit("trivet-firstboot.service", "loaded", "active", "running", "success", 2),
        Unit("glusterd.service", "not-found", "inactive", "dead", "", 0),
    )


@pytest.mark.parametrize(
    ("found", "due", "verdict"),
    [
        (unit(), True, "pass"),
        (unit(restarts=2), True, "warn"),
        (unit("activating"), True, "warn"),
        (unit("failed"), True, "fail"),
        (unit("inactive"), True, "fail"),
        (unit("inactive", load="not-found"), True, "fail"),
        (unit("inactive", load="not-found"), False, "not-applicable"),
        (unit("inactive", load="masked"), True, "fail"),
        (unit("inactive"), False, "not-applicable"),
    ],
)
def test_units_are_judged(found: Unit, due: bool, verdict: str) -> None:
    assert units.judge(found, due=due).verdict == verdict


def test_a_service_that_its_socket_starts_may_rest_but_not_fail() -> None:
    socket = unit(name="libvirtd.socket")
    assert units.judge(unit("inactive"), due=True, socket=socket).verdict is Verdict.PASS
    assert units.judge(unit("failed"), due=True, socket=socket).verdict is Verdict.FAIL
    dead = unit("inactive", name="libvirtd.socket")
    assert units.judge(unit("inactive"), due=True, socket=dead).verdict is Verdict.FAIL


def test_which_units_are_due() -> None:
    def due(found: Node) -> set[str]:
        return set(units.wanted(found)) - set(units.ALWAYS)

    gluster_only = node("formed").claimed_seed.plan.model_copy(update={"mode": Mode.GLUSTER})
    assert due(Node()) == set()
    assert due(node("found")) == {"libvirtd.service"}
    assert due(node("pool")) == {"libvirtd.service", "glusterd.service"}
    assert due(node("network", ever="domains")) == {"libvirtd.service"}
    assert due(node("formed", plan=gluster_only)) == {"glusterd.service"}


LISTENING = """LISTEN 0      64                 *:7463             *:*    users:(("python3",pid=77,fd=8))
LISTEN 0      1024         0.0.0.0:24007      0.0.0.0:*    users:(("glusterd",pid=90,fd=10))
LISTEN 0      128             [::]:22            [::]:*    users:(("sshd",pid=5,fd=4),("systemd",pid=1,fd=60))
LISTEN 0      5          127.0.0.1:74631      0.0.0.0:*
"""


def test_listeners_are_typed_at_the_door() -> None:
    found = {(one.port, one.address, one.program, one.pid) for one in ports.parse_listeners(LISTENING)}
    assert found == {
        (7463, "*", "python3", 77),
        (24007, "0.0.0.0", "glusterd", 90),
        (22, "[::]", "sshd", 5),
        (74631, "127.0.0.1", "unknown", None),
    }


@pytest.mark.parametrize(
    ("text", "due", "pid", "verdict"),
    [
        (LISTENING, True, 77, "pass"),
        (LISTENING, False, 77, "pass"),
        (LISTENING, True, 78, "fail"),
        (LISTENING, True, None, "fail"),
        ("", True, 77, "fail"),
        ("", False, 77, "not-applicable"),
    ],
)
def test_the_admission_port_is_the_agents(text: str, due: bool, pid: int | None, verdict: str) -> None:
    assert ports.judge_admission(ports.parse_listeners(text), due=due, agent_pid=pid).verdict == verdict


@pytest.mark.parametrize(
    ("text", "due", "allowed", "verdict"),
    [
        (LISTENING, True, True, "pass"),
        (LISTENING, False, True, "pass"),
        (LISTENING, False, False, "fail"),
        ("", True, True, "fail"),
        ("", False, True, "warn"),
        ("", False, False, "not-applicable"),
    ],
)
def test_glusterd_listens_in_time_and_not_before(text: str, due: bool, allowed: bool, verdict: str) -> None:
    assert ports.judge_glusterd(ports.parse_listeners(text), due=due, allowed=allowed).verdict == verdict


def test_disks_are_judged_in_the_selections_words() -> None:
    two = choose((want(),), (blank("b"), blank("c"), SYSTEM), DiskRecords())
    judged = brickdisks.judge_choice(two)
    assert judged.verdict is Verdict.FAIL
    assert "more than that match" in judged.evidence
    assert "narrow the rule" in judged.hint
    judged = brickdisks.judge_choice(choose((want(),), (blank("b"), SYSTEM), DiskRecords()))
    assert (judged.verdict, judged.evidence) == (Verdict.PASS, "ssd 0: /dev/vdb (100.0 GiB, serial serial-b), blank")


def test_mounts_are_of_bricks_that_were_made() -> None:
    (brick,) = want().bricks(0)
    assert brickdisks.judge_mounts([]).verdict is Verdict.NOT_APPLICABLE
    assert brickdisks.judge_mounts([(brick, "")]).verdict is Verdict.PASS
    judged = brickdisks.judge_mounts([(brick, "is not mounted")])
    assert (judged.verdict, judged.evidence) == (Verdict.FAIL, "brick data-0 is not mounted")


PEERS = tuple(PeerStatus(name=f"node{n}", slot=n, address=f"192.0.2.{n}", connected=n == 2) for n in (2, 3))


def test_a_peer_that_left_fails_and_one_that_is_to_come_warns() -> None:
    assert storage.judge_peers(PEERS[:1], pooled=True).verdict is Verdict.PASS
    judged = storage.judge_peers(PEERS, pooled=True)
    assert (judged.verdict, judged.evidence) == (Verdict.FAIL, "1 of 2 connected; not: node3 (192.0.2.3)")
    assert storage.judge_peers(PEERS, pooled=False).verdict is Verdict.WARN
    assert storage.judge_absence(pooled=True).verdict is Verdict.FAIL
    assert storage.judge_absence(pooled=False).verdict is Verdict.WARN


def volume(state: str, *online: bool) -> VolumeStatus:
    bricks = tuple(BrickStatus(node=f"node{n}", path="/b", online=up) for n, up in enumerate(online, 1))
    return VolumeStatus(name="data", type="Replicate", status=state, bricks=bricks)


@pytest.mark.parametrize(
    ("found", "made", "verdict", "words"),
    [
        (volume("Started", True, True, True), True, "pass", "3 of 3 bricks online"),
        (volume("Started", True, False, True), True, "fail", "2 of 3 bricks online; not: node2:/b"),
        (volume("Stopped", False), True, "fail", "it is stopped"),
        (volume("Created", False), False, "warn", "it is created"),
        (None, True, "fail", "gone"),
        (None, False, "warn", "not created yet"),
    ],
)
def test_volumes_are_judged(found: VolumeStatus | None, made: bool, verdict: str, words: str) -> None:
    (planned,) = node("formed").claimed_seed.plan.volumes
    judged = storage.judge_volume(planned, found, made=made)
    assert judged.verdict == verdict
    assert words in judged.evidence


def test_glusterd_is_not_asked_before_its_phase() -> None:
    (judged,) = storage.check(node("found"))
    assert judged.verdict is Verdict.NOT_APPLICABLE


def test_gluster_is_asked_as_the_status_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    from firstboot.gluster import client, facts
    from firstboot.gluster.client import parse_pool, parse_status, parse_volumes
    from tests.unit.firstboot.gluster.formed import answer

    for module in (storage, facts):
        monkeypatch.setattr(module, "is_active", lambda unit: True)
    monkeypatch.setattr(client, "pool", lambda: parse_pool(answer("pool-list-down")))
    monkeypatch.setattr(client, "volumes", lambda: parse_volumes(answer("volume-info-none")))
    monkeypatch.setattr(client, "online_bricks", lambda name: parse_status(answer("volume-status")))
    peers, data = storage.check(node("formed"))
    assert peers.verdict is Verdict.FAIL
    assert (data.verdict, data.about) == (Verdict.FAIL, "volume data")


def test_media_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from firstboot import seedmedia
    from firstboot.seed import encode

    contents = {"/dev/vda4": None, "/dev/vdb": encode(SEEDS[0]), "/dev/vdc": b"{"}
    monkeypatch.setattr(seedmedia, "media", lambda: sorted(contents))
    monkeypatch.setattr(seedmedia, "read_medium", contents.__getitem__)
    empty, good, damaged = seeds.read_media()
    assert (empty.found, empty.trouble) == (None, None)
    assert good.found is not None
    assert good.found.seed == SEEDS[0]
    assert damaged.trouble is not None
