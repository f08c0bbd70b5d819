"""The volumes phase: created once, tuned before the start, never touched afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from firstboot.errors import RefusedError
from firstboot.gluster import client
from firstboot.gluster import volumes as room
from firstboot.gluster.client import GlusterError, Peer, Pool, VolumeInfo
from firstboot.gluster.volumes import option_group, parse_group, require_same, wanted_volumes
from firstboot.phases import Done, Outcome, Wait
from firstboot.plan import VolumeType
from tests.unit.firstboot.gluster.formed import context, plan

BRICKS = tuple(f"node{n}.lab.trivet.internal:/var/lib/trivet/bricks/data-0/brick" for n in (1, 2, 3))
MADE = VolumeInfo("data", "id", "Replicate", "Created", 3, 0, BRICKS, {})
GROUP = "performance.quick-read=off\nfeatures.shard=on\n"


class FakeGlusterd:
    """One volume at most; what changes it is written down."""

    def __init__(self) -> None:
        self.volume: VolumeInfo | None = None
        self.online: frozenset[str] = frozenset(BRICKS)
        self.peers: tuple[Peer, ...] = ()
        self.done: list[str] = []
        self.create_error = ""

    def create(self, volume: str, layout: tuple[str, ...], bricks: tuple[str, ...]) -> None:
        if self.create_error:
            raise GlusterError("creating", self.create_error)
        self.done.append(f"create {volume} {' '.join(layout)}")
        self.volume = replace(MADE, bricks=bricks)

    def set_group(self, volume: str, group: str) -> None:
        self.done.append(f"group {group}")
        self._set(parse_group(GROUP))

    def set_options(self, volume: str, options: Mapping[str, str]) -> None:
        self.done.append(f"set {dict(options)}")
        self._set(options)

    def _set(self, options: Mapping[str, str]) -> None:
        assert self.volume is not None
        self.volume = replace(self.volume, options={**self.volume.options, **options})

    def start(self, volume: str) -> None:
        assert self.volume is not None
        self.done.append("start")
        self.volume = replace(self.volume, status="Started")


@pytest.fixture
def glusterd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGlusterd]:
    fake = FakeGlusterd()
    for name in ("create", "set_group", "set_options", "start"):
        monkeypatch.setattr(client, name, getattr(fake, name))
    monkeypatch.setattr(client, "volumes", lambda: (fake.volume,) if fake.volume else ())
    monkeypatch.setattr(client, "online_bricks", lambda volume: fake.online)
    monkeypatch.setattr(client, "pool", lambda: Pool("me", fake.peers))
    (tmp_path / "virt").write_text(GROUP)
    monkeypatch.setattr(room, "GROUPS", tmp_path)
    yield fake


def waited(outcome: Outcome) -> str:
    assert isinstance(outcome, Wait)
    return outcome.reason


def test_the_founder_creates_tunes_and_starts(glusterd: FakeGlusterd) -> None:
    assert isinstance(room.form(context(1, of=plan(options={"network.ping-timeout": "11"}))), Done)
    assert glusterd.done == ["create data replica 3", "group virt", "set {'network.ping-timeout': '11'}", "start"]


def test_a_second_run_changes_nothing(glusterd: FakeGlusterd) -> None:
    room.form(context(1))
    glusterd.done.clear()
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.done == []


def test_cut_off_after_the_group(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(MADE, options=parse_group(GROUP))
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.done == ["start"]


def test_an_operators_tuning_of_a_started_volume_is_left_alone(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(MADE, status="Started", options={"features.shard": "off"})
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.done == []


def test_a_volume_that_was_stopped_is_not_started(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(MADE, status="Stopped")
    assert "was stopped by an operator" in waited(room.form(context(1)))
    assert glusterd.done == []


def test_followers_wait_with_reasons(glusterd: FakeGlusterd) -> None:
    assert waited(room.form(context(2))) == "waiting for node1 to create volume data"
    glusterd.volume = MADE
    assert waited(room.form(context(2))) == "waiting for node1 to start volume data"
    assert glusterd.done == []


def test_offline_bricks_are_named(glusterd: FakeGlusterd) -> None:
    glusterd.volume, glusterd.online = replace(MADE, status="Started"), frozenset(BRICKS[:2])
    assert BRICKS[2] in waited(room.form(context(1)))


def test_a_dead_nodes_bricks_do_not_hold_up_a_node_that_comes_back(glusterd: FakeGlusterd) -> None:
    glusterd.volume, glusterd.online = replace(MADE, status="Started"), frozenset(BRICKS[:2])
    glusterd.peers = (Peer("c", ("node3.lab.trivet.internal",), False, "Peer in Cluster"),)
    returning = context(1)
    assert isinstance(room.form(returning), Done)
    returning.finished.add("domains")
    assert BRICKS[2] in waited(room.form(returning))


def test_another_volume_of_that_name_is_refused(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(MADE, status="Started", bricks=("elsewhere:/b",))
    with pytest.raises(RefusedError, match="but with other bricks: elsewhere:/b"):
        room.form(context(1))
    assert glusterd.done == []


@pytest.mark.parametrize("change", [{"replica": 2}, {"arbiter": 1}, {"bricks": BRICKS[::-1]}])
def test_a_volume_of_another_shape_is_refused(change: dict[str, object]) -> None:
    (wanted,) = wanted_volumes(context(1))
    require_same(wanted, MADE)
    with pytest.raises(RefusedError):
        require_same(wanted, replace(MADE, **change))  # type: ignore[arg-type]


def test_a_mark_on_another_node_is_waited_for(glusterd: FakeGlusterd) -> None:
    glusterd.create_error = "/var/lib/trivet/bricks/data-0/brick is already part of a volume"
    assert "left by an attempt that was cut off" in waited(room.form(context(1)))


def test_volumes_without_copies_get_their_own_group() -> None:
    (copies,) = wanted_volumes(context(1))
    (single,) = wanted_volumes(context(1, of=plan(1, kind=VolumeType.DISTRIBUTE, replica=1)))
    assert (option_group(copies), option_group(single)) == ("virt", "distributed-virt")
    plain = replace(copies, plan=copies.plan.model_copy(update={"group": "none"}))
    assert option_group(plain) is None


def test_group_files() -> None:
    assert parse_group("a.b=on\n# note=1\n\nc-d=4\n") == {"a.b": "on", "c-d": "4"}


def test_a_creation_before_all_know_each_other_is_waited_for(glusterd: FakeGlusterd) -> None:
    glusterd.create_error = "Staging failed on node2. Error: Host node1 not connected"
    assert "Host node1 not connected" in waited(room.form(context(1)))
