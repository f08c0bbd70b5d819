"""How a new machine takes its slot's place in the pool: what is written, in which order, and when nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot import paths, services
from firstboot.cluster.places import Places
from firstboot.cluster.views import View
from firstboot.context import Context
from firstboot.gluster import client, heir
from firstboot.gluster.client import Peer, Pool
from firstboot.phases import Wait
from tests.unit.cluster.documents import node, seed
from tests.unit.cluster.test_places import replaced, uuid
from tests.unit.firstboot.gluster.formed import context

INFO = f"UUID={uuid(1)}\noperating-version=100000\n"
PEERS = {uuid(n): f"uuid={uuid(n)}\nstate=3\nhostname1=node{n}.lab.trivet.internal\n" for n in (2, 3)}


class FakeUnit:
    """glusterd's unit."""

    def __init__(self) -> None:
        self.active = False
        self.stops = 0

    def stop(self, _: str) -> None:
        self.stops += self.active
        self.active = False


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> FakeUnit:
    fake = FakeUnit()
    monkeypatch.setattr(services, "is_active", lambda _: fake.active)
    monkeypatch.setattr(services, "stop", fake.stop)
    return fake


def newcomer(*, told: tuple[int, ...] = (1, 2, 3)) -> Context:
    """The new machine of slot 1, before the phase pool."""
    here = context(1)
    here.document = replaced()
    here.node_id = node(1, 1)
    places = Places(epoch=3, operating_version=100000, glusterd={slot: uuid(slot) for slot in told})
    for slot in (2, 3):
        here.views[slot] = View(
            node_id=node(slot), slot=slot, seed_id=seed(slot), phase="formed", epoch=3, places=places
        )
    return here


def written(store: Path) -> tuple[str | None, dict[str, str]]:
    info = store / "glusterd.info"
    peers = {path.name: path.read_text() for path in (store / "peers").glob("*")}
    return info.read_text() if info.exists() else None, peers


def test_the_place_is_taken_once(unit: FakeUnit, tmp_path: Path) -> None:
    store = tmp_path / "glusterd"
    for _ in range(2):
        assert heir.take(newcomer(), store) is None
        assert written(store) == (INFO, PEERS)
    unit.active = True
    (store / "peers" / uuid(3)).unlink()
    assert heir.take(newcomer(), store) is None
    assert unit.stops == 0, "it is meeting them"


def test_a_place_that_was_cut_off_is_taken_anew(unit: FakeUnit, tmp_path: Path) -> None:
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / uuid(2)).write_text(PEERS[uuid(2)])
    assert heir.take(newcomer(), tmp_path) is None
    assert written(tmp_path) == (INFO, PEERS)
    (tmp_path / "peers" / uuid(2)).unlink()
    assert heir.take(newcomer(), tmp_path) is None
    assert written(tmp_path) == (INFO, PEERS), "the UUID was there, and a peer not"


def test_another_uuid_gives_way(unit: FakeUnit, tmp_path: Path) -> None:
    (tmp_path / "glusterd.info").write_text(f"UUID={uuid(9)}\noperating-version=100000\n")
    unit.active = True
    assert heir.take(newcomer(), tmp_path) is None
    assert written(tmp_path) == (INFO, PEERS)
    assert unit.stops == 1


def test_nothing_is_written_without_a_place_or_for_who_has_one(unit: FakeUnit, tmp_path: Path) -> None:
    assert heir.take(newcomer(told=(2, 3)), tmp_path) is None
    without = newcomer()
    without.document = None
    assert heir.take(without, tmp_path) is None
    (tmp_path / "vols/data").mkdir(parents=True)
    assert heir.take(newcomer(), tmp_path) is None
    assert written(tmp_path) == (None, {})


def test_only_members_are_listened_to(unit: FakeUnit, tmp_path: Path) -> None:
    here = newcomer()
    here.views = {slot: view.model_copy(update={"node_id": node(slot, 7)}) for slot, view in here.views.items()}
    waiting = heir.take(here, tmp_path)
    assert isinstance(waiting, Wait)
    assert "no member has said yet" in waiting.reason
    assert written(tmp_path) == (None, {})


def test_a_member_says_who_has_which_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = context(2)
    here.document = replaced()
    peers = (
        Peer(uuid(1), ("node1.lab.trivet.internal",), connected=False, state="Peer in Cluster"),
        Peer(uuid(9), ("stranger",), connected=True, state="Peer in Cluster"),
    )
    monkeypatch.setattr(client, "pool", lambda: Pool(uuid(2), peers))
    monkeypatch.setattr(paths, "GLUSTERD_INFO", tmp_path / "glusterd.info")
    heir.look(here)
    assert here.places is None, "glusterd has not written its own version yet"
    (tmp_path / "glusterd.info").write_text("UUID=x\noperating-version=100000\n")
    heir.look(here)
    assert here.places == Places(epoch=3, operating_version=100000, glusterd={1: uuid(1), 2: uuid(2)})
