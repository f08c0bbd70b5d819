"""Several volumes: one that waits or fails keeps no other from being kept closed, looked at and completed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pytest

from firstboot.context import Context, Look
from firstboot.errors import RefusedError, TrivetError
from firstboot.gluster import client, completion, removal
from firstboot.gluster import volumes as room
from firstboot.gluster.client import GlusterError, Peer, Pool, VolumeInfo
from firstboot.gluster.turns import Turns, joined
from firstboot.phases import Done, Outcome, Wait
from firstboot.plan import Plan, VolumePlan
from tests.unit.firstboot.gluster.formed import context, plan

NAMES = ("first", "second", "third")
CLOSED = {"auth.ssl-allow": ",".join(f"{n:032x}" for n in (1, 2, 3)), "client.ssl": "on", "server.ssl": "on"}
OPEN = {**CLOSED, "auth.ssl-allow": CLOSED["auth.ssl-allow"] + ",f00d"}


def three_volumes() -> Plan:
    volumes = tuple(VolumePlan(name=name, type="replicate", replica=3, bricks="ssd") for name in NAMES)
    return plan().model_copy(update={"volumes": volumes})


def info(name: str, status: str = "Started", options: Mapping[str, str] = CLOSED) -> VolumeInfo:
    bricks = tuple(f"node{n}.lab.trivet.internal:/var/lib/trivet/bricks/{name}-0/brick" for n in (1, 2, 3))
    return VolumeInfo(name, f"id of {name}", "Replicate", status, 3, 0, bricks, options)


class FakeGlusterd:
    """Three volumes; what is done to which is written down."""

    def __init__(self) -> None:
        self.volumes = {name: info(name) for name in NAMES}
        self.offline: set[str] = set()
        self.done: list[str] = []

    def set_options(self, volume: str, options: Mapping[str, str]) -> None:
        self.done.append(f"close {volume}")
        found = self.volumes[volume]
        self.volumes[volume] = replace(found, options={**found.options, **options})

    def online(self, volume: str) -> frozenset[str]:
        if volume in self.offline:
            raise GlusterError("reading", f"no state of {volume}")
        return frozenset(self.volumes[volume].bricks)

    def complete(self, _context: Context, _wanted: object, found: VolumeInfo, _bricks: object) -> None:
        self.done.append(f"complete {found.name}")


@pytest.fixture
def glusterd(monkeypatch: pytest.MonkeyPatch) -> FakeGlusterd:
    fake = FakeGlusterd()
    peers = tuple(Peer(f"{n}", (f"node{n}.lab.trivet.internal",), True, "Peer in Cluster") for n in (2, 3))
    monkeypatch.setattr(client, "volumes", lambda: tuple(fake.volumes.values()))
    monkeypatch.setattr(client, "set_options", fake.set_options)
    monkeypatch.setattr(client, "online_bricks", fake.online)
    monkeypatch.setattr(client, "pool", lambda: Pool("me", peers))
    monkeypatch.setattr(completion, "step", fake.complete)
    return fake


@pytest.fixture
def here() -> Context:
    found = context(1, of=three_volumes())
    found.finished.add("domains")
    return found


def test_one_that_waits_keeps_none_open_to_a_removed_node(glusterd: FakeGlusterd, here: Context) -> None:
    glusterd.volumes = {name: info(name, options=OPEN) for name in NAMES}
    glusterd.volumes["first"] = info("first", "Stopped", OPEN)
    outcome = room.form(here)
    assert isinstance(outcome, Wait)
    assert outcome.reason == "volume first was stopped by an operator"
    assert glusterd.done == [*(f"close {name}" for name in NAMES), "complete second", "complete third"]


def test_one_that_fails_keeps_none_open_either(glusterd: FakeGlusterd, here: Context) -> None:
    glusterd.volumes = {name: info(name, options=OPEN) for name in NAMES}
    glusterd.volumes["first"] = replace(glusterd.volumes["first"], bricks=("elsewhere:/b",))
    glusterd.offline.add("second")
    with pytest.raises(RefusedError, match="there is a volume first already"):
        room.form(here)
    assert glusterd.done == ["close second", "close third", "complete third"], "another's volume is left alone"


def test_all_are_looked_at_for_heals_though_one_waits(
    glusterd: FakeGlusterd, here: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    glusterd.volumes["first"] = info("first", "Stopped")
    looked: list[tuple[str, ...]] = []

    def look(context: Context, every: tuple[object, ...], found: Mapping[str, VolumeInfo]) -> None:
        looked.append(tuple(found))
        assert len(every) == len(NAMES)
        assert glusterd.done == [], "before the first of them is waited for"

    monkeypatch.setattr(removal, "look", look)
    assert isinstance(room.form(here), Wait)
    assert looked == [NAMES]


def test_every_reason_is_told(glusterd: FakeGlusterd, here: Context) -> None:
    glusterd.volumes["first"], glusterd.volumes["third"] = info("first", "Stopped"), info("third", "Stopped")
    outcome = room.form(here)
    assert isinstance(outcome, Wait)
    assert outcome.reason == "volume first was stopped by an operator; volume third was stopped by an operator"
    assert outcome.hint == "gluster volume start first; gluster volume start third"
    glusterd.volumes = {name: info(name) for name in NAMES}
    assert room.form(here) == Done("3 volume(s) started")
    assert here.look == Look()


def test_a_wait_for_several_is_as_short_as_the_shortest() -> None:
    slow, slower, soon = Wait("a", "do", retry_s=10.0), Wait("b", "do", retry_s=20.0), Wait("c")
    assert joined([]) is None
    assert joined([slow]) == slow
    assert joined([slow, slower]) == Wait("a; b", "do", retry_s=10.0)
    assert joined([slow, soon]) == Wait("a; c", "do")


def fail(error: Exception) -> Outcome:
    raise error


def test_the_first_error_is_raised_and_the_others_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    turns = Turns()
    turns.take(lambda: Wait("this waits"))
    for said in ("one", "one", "two"):
        turns.take(partial(fail, TrivetError(said)))
    with pytest.raises(TrivetError, match="one"):
        turns.outcome()
    assert [record.message for record in caplog.records] == ["two", "this waits"]
    with pytest.raises(ZeroDivisionError):
        turns.take(partial(fail, ZeroDivisionError()))
