"""An empty brick that is there instead of another: marked before Gluster sees it, reset once its copies are there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest

from firstboot.cluster.views import View
from firstboot.context import Context
from firstboot.errors import RefusedError
from firstboot.gluster import client, daemon, heals, marks, refill
from firstboot.gluster.client import GlusterError, VolumeInfo
from firstboot.gluster.layout import PlacedBrick
from firstboot.gluster.options import closing_options
from firstboot.gluster.refill import RECORD, Facts, Standing, sources, standing
from firstboot.gluster.wanted import wanted_volumes
from firstboot.phases import Wait
from firstboot.plan import VolumeType
from tests.unit.cluster.documents import node, seed
from tests.unit.cluster.test_places import replaced
from tests.unit.firstboot.gluster.formed import context, plan
from tests.unit.firstboot.gluster.test_shape import ARBITER, SIX

ID = "12345678-1234-4234-8234-123456789abc"
OTHER = bytes(16)
MARK = "trusted.afr.data-client-0"


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (Facts(None, is_empty=True, is_recorded=False), Standing.BLANK),
        (Facts(None, is_empty=True, is_recorded=True), Standing.MARKED),
        (Facts(UUID(ID).bytes, is_empty=True, is_recorded=True), Standing.BEGUN),
        (Facts(UUID(ID).bytes, is_empty=False, is_recorded=True), Standing.BEGUN),
        (Facts(UUID(ID).bytes, is_empty=False, is_recorded=False), Standing.FILLED),
        (Facts(UUID(ID).bytes, is_empty=True, is_recorded=False), Standing.FILLED),
        (Facts(None, is_empty=False, is_recorded=False), Standing.FOREIGN),
        (Facts(None, is_empty=False, is_recorded=True), Standing.FOREIGN),
        (Facts(OTHER, is_empty=True, is_recorded=True), Standing.FOREIGN),
    ],
)
def test_how_far_a_brick_is(facts: Facts, found: Standing) -> None:
    assert standing(facts, UUID(ID).bytes) is found


def test_all_copies_of_members_are_needed_but_empty_ones() -> None:
    members = dict.fromkeys((1, 2, 3, 4, 5, 6), None)
    brick = PlacedBrick(1, 0)
    assert sources(SIX.bricks, 3, brick, members, set()) == (PlacedBrick(2, 0), PlacedBrick(3, 0))
    assert sources(SIX.bricks, 3, brick, members, {3}) == (PlacedBrick(2, 0),)
    assert sources(ARBITER.bricks, 3, brick, {1: None, 2: None}, set()) == (PlacedBrick(2, 0),)
    assert sources(SIX.bricks, 1, brick, members, set()) == (), "nothing is copied"


@dataclass
class FakeGlusterd:
    """An arbiter volume, of which this node's brick is on `mount`; what happens is written down."""

    mount: Path
    online: set[str] = field(default_factory=set)
    fails: str = ""
    done: list[str] = field(default_factory=list)
    attributes: dict[str, bytes] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.mount / "brick"

    def stop(self, _: str, brick: str) -> None:
        self.done.append("stop")
        self.online.discard(brick)

    def reset(self, _: str, brick: str) -> None:
        assert brick not in self.online, "Source brick must be stopped"
        assert self.attributes[MARK] == refill.EVERYTHING, "somebody could read from it"
        self.attributes[marks.VOLUME_ID] = UUID(ID).bytes
        self.done.append("reset")
        if self.fails == "reset":
            raise GlusterError("resetting", "Commit failed")
        self.online.add(brick)

    def heal(self, _: str) -> None:
        self.done.append("heal")
        if self.fails == "heal":
            raise GlusterError("healing", "Not all bricks are up")

    def set(self, path: Path, name: str, value: bytes) -> None:
        assert path.name in ("brick", ".brick.trivet-new")
        assert (self.mount / RECORD).exists(), "a crash now would leave it unknown"
        self.attributes[name] = value


@pytest.fixture
def glusterd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeGlusterd:
    fake = FakeGlusterd(tmp_path / "data-0", set(found(newcomer()).bricks[1:]))
    fake.mount.mkdir()
    monkeypatch.setattr(refill, "brick_mount", lambda *_: fake.mount)
    monkeypatch.setattr(refill, "brick_path", lambda *_: fake.folder)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == fake.mount)
    monkeypatch.setattr("os.setxattr", fake.set)
    monkeypatch.setattr(marks, "volume_id", lambda _: fake.attributes.get(marks.VOLUME_ID))
    monkeypatch.setattr(client, "online_bricks", lambda _: frozenset(fake.online))
    monkeypatch.setattr(client, "stop_brick", fake.stop)
    monkeypatch.setattr(client, "reset_brick", fake.reset)
    monkeypatch.setattr(client, "heal_full", fake.heal)
    names = {f"data-client-{n}": brick for n, brick in enumerate(found(newcomer()).bricks)}
    monkeypatch.setattr(heals, "copies", lambda _: names)
    return fake


def newcomer() -> Context:
    """The new machine of slot 1, in the phase volumes."""
    here = context(1, of=plan(kind=VolumeType.ARBITER))
    here.document = replaced()
    return here


def found(here: Context) -> VolumeInfo:
    (wanted,) = wanted_volumes(here)
    closed = closing_options(here.members.values())
    return VolumeInfo("data", ID, "Replicate", "Started", 3, 1, tuple(wanted.names.values()), closed)


def step(here: Context, info: VolumeInfo | None = None) -> Wait | None:
    (wanted,) = wanted_volumes(here)
    return refill.step(here, wanted, info or found(here))


def test_a_blank_brick_is_marked_reset_and_healed_once(glusterd: FakeGlusterd) -> None:
    here = newcomer()
    assert step(here) is None
    assert glusterd.folder.is_dir()
    assert sorted(path.name for path in glusterd.mount.iterdir()) == ["brick"]
    assert step(here) is None
    assert glusterd.done == ["reset", "heal"]
    assert here.empty == ()


def test_the_copies_are_waited_for(glusterd: FakeGlusterd) -> None:
    here, everybody = newcomer(), set(glusterd.online)
    glusterd.online = set(found(here).bricks[1:2])
    waiting = step(here)
    assert isinstance(waiting, Wait)
    assert found(here).bricks[2] in waiting.reason
    assert here.empty == ("data",), "others must not count on it"
    here.views[2] = View(node_id=node(2), slot=2, seed_id=seed(2), phase="volumes", empty=("data",))
    glusterd.online = everybody
    assert "no member has a copy" in str(step(here)), "an arbiter has no data"
    assert not glusterd.folder.exists()
    here.views.clear()
    assert step(here) is None
    assert glusterd.done == ["reset", "heal"]


def test_a_reset_that_was_cut_off_is_done_again(glusterd: FakeGlusterd) -> None:
    glusterd.fails = "reset"
    with pytest.raises(GlusterError):
        step(newcomer())
    assert glusterd.attributes.keys() == {MARK, marks.VOLUME_ID}
    glusterd.online.add(found(newcomer()).bricks[0])  # it runs, and accuses itself
    glusterd.fails = "heal"
    assert step(newcomer()) is None
    assert step(newcomer()) is None
    assert glusterd.done == ["reset", "stop", "reset", "heal"], "what was marked is healed without an order"


def test_what_is_there_is_never_reset(glusterd: FakeGlusterd) -> None:
    glusterd.folder.mkdir()
    (glusterd.folder / "file").touch()
    with pytest.raises(RefusedError, match="not empty"):
        step(newcomer())
    glusterd.attributes[marks.VOLUME_ID] = UUID(ID).bytes
    assert step(newcomer()) is None
    assert glusterd.done == []


def test_the_volume_lets_this_node_in_first(glusterd: FakeGlusterd) -> None:
    here = newcomer()
    assert "lets this node in" in str(step(here, replace(found(here), options={})))
    assert not glusterd.folder.exists()
    assert glusterd.done == []


def test_a_glusterd_that_was_told_of_its_brick_reads_it_anew(
    glusterd: FakeGlusterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(volume: str, brick: str) -> None:
        raise GlusterError("resetting", "When destination brick is new, please use gluster volume replace-brick")

    now_s = 0.0
    monkeypatch.setattr(refill, "_not_found", daemon.Lasting(refill.READ_AGAIN_S))
    monkeypatch.setattr(refill, "_told", set())
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    monkeypatch.setattr(daemon, "restart", lambda: glusterd.done.append("restart"))
    monkeypatch.setattr(client, "reset_brick", refuse)
    for _ in range(3):
        assert isinstance(step(newcomer()), Wait)
    assert glusterd.done == ["restart"], "once, as long as it may come to it"
    now_s = refill.READ_AGAIN_S
    assert isinstance(step(newcomer()), Wait)
    monkeypatch.setattr(client, "reset_brick", glusterd.reset)
    assert step(newcomer()) is None
    assert glusterd.done == ["restart", "restart", "reset", "heal"]


def test_nothing_is_reset_of_a_first_node_or_a_stopped_volume(glusterd: FakeGlusterd) -> None:
    here = newcomer()
    assert step(here, replace(found(here), status="Stopped")) is None
    first = context(2, of=plan(kind=VolumeType.ARBITER))
    first.document = replaced()
    assert step(first) is None
    assert glusterd.done == []
    assert not glusterd.folder.exists()
