"""Marks of failed creations: cleaned when nothing can be under way any more, and never with data behind them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from firstboot.errors import RefusedError
from firstboot.gluster import client, marks
from firstboot.gluster.client import Peer, Pool, VolumeInfo
from firstboot.phases import Wait

BRICK = "node1.lab.trivet.internal:/srv/brick"
OTHER = Peer("b", ("node2.lab.trivet.internal",), True, "Peer in Cluster")


@dataclass
class Cluster:
    """What glusterd says, and the marked brick folder."""

    folder: Path
    peers: tuple[Peer, ...] = (OTHER,)
    busy: bool = False
    volumes: tuple[VolumeInfo, ...] = ()
    now_s: float = 100.0

    def look(self, after_s: float = 0.0) -> Wait | None:
        self.now_s += after_s
        return marks.clean("data", self.folder.parent, self.folder)

    def clean(self) -> Wait | None:
        """The second of two looks, so far apart that a mark with nothing behind it is cleaned then."""
        self.look()
        return self.look(marks.SEEN_S)

    def clean_surplus(self) -> Wait | None:
        return marks.clean_surplus("data", BRICK, self.folder.parent, self.folder)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    """The mark is a plain attribute: setting a trusted one needs root."""
    monkeypatch.setattr(marks, "_since", {})
    monkeypatch.setattr(marks, "VOLUME_ID", "user.trivet-test")
    monkeypatch.setattr(Path, "is_mount", lambda self: self == tmp_path)
    folder = tmp_path / "brick"
    (folder / ".glusterfs").mkdir(parents=True)
    os.setxattr(folder, marks.VOLUME_ID, b"1")
    made = Cluster(folder)
    monkeypatch.setattr(client, "pool", lambda: Pool("me", made.peers))
    monkeypatch.setattr(client, "is_busy", lambda volume: made.busy)
    monkeypatch.setattr(client, "volumes", lambda: made.volumes)
    monkeypatch.setattr(marks.time, "monotonic", lambda: made.now_s)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test may change."""
    now = [0.0]
    monkeypatch.setattr(marks, "_surplus", marks.daemon.Lasting(marks.SURPLUS_S))
    monkeypatch.setattr(marks.time, "monotonic", lambda: now[0])
    return now


def kept(cluster: Cluster) -> bool:
    return marks.volume_id(cluster.folder) == b"1"


def test_what_a_failed_creation_left_is_cleaned(cluster: Cluster) -> None:
    assert cluster.clean() is None
    assert marks.volume_id(cluster.folder) is None
    assert list(cluster.folder.iterdir()) == []
    assert cluster.clean() is None


def test_a_creation_under_way_is_left_alone(cluster: Cluster) -> None:
    cluster.busy = True
    assert cluster.clean() == Wait("volume data is being created")
    assert kept(cluster)


def test_a_creation_that_ended_well_meanwhile_is_left_alone(cluster: Cluster) -> None:
    cluster.volumes = (VolumeInfo("data", "1", "Replicate", "Created", 3, 0, (), {}),)
    assert cluster.clean() == Wait("volume data was just created")
    assert kept(cluster)


def test_without_all_peers_the_lock_says_nothing(cluster: Cluster) -> None:
    cluster.peers = (OTHER, Peer("c", ("node3.lab.trivet.internal",), False, "Peer in Cluster"))
    waiting = cluster.clean()
    assert waiting is not None
    assert "node3" in waiting.reason
    assert kept(cluster)


def waits(cluster: Cluster, after_s: float = 0.0) -> bool:
    waiting = cluster.look(after_s)
    return waiting is not None and "of a volume that is not there" in waiting.reason and kept(cluster)


def test_a_mark_is_cleaned_only_after_it_was_seen_for_a_while(cluster: Cluster) -> None:
    assert waits(cluster)
    assert waits(cluster, marks.SEEN_S - 1)
    assert cluster.look(1) is None
    assert not kept(cluster)


@pytest.mark.parametrize("what", ["peer away", "busy", "volume there", "another mark", "no mark", "not mounted"])
def test_the_time_begins_anew_once_something_was_behind_the_mark(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    assert waits(cluster)
    with monkeypatch.context() as meanwhile:
        if what == "peer away":
            meanwhile.setattr(cluster, "peers", (replace(OTHER, connected=False),))
        if what == "busy":
            meanwhile.setattr(cluster, "busy", True)
        if what == "volume there":
            meanwhile.setattr(cluster, "volumes", (VOLUME,))
        if what == "another mark":
            os.setxattr(cluster.folder, marks.VOLUME_ID, b"2")
        if what == "no mark":
            os.removexattr(cluster.folder, marks.VOLUME_ID)
        if what == "not mounted":
            meanwhile.setattr(Path, "is_mount", lambda self: False)
        cluster.look(marks.SEEN_S - 1)
    os.setxattr(cluster.folder, marks.VOLUME_ID, b"1")
    assert waits(cluster, 1)
    assert waits(cluster, marks.SEEN_S - 1)
    assert cluster.look(1) is None
    assert not kept(cluster)


def test_a_returning_member_keeps_its_mark_until_it_is_shown_the_volume(cluster: Cluster) -> None:
    cluster.peers = (replace(OTHER, connected=False),)
    for _ in range(20):
        cluster.look(1)
    cluster.peers = (OTHER,)
    assert waits(cluster, 1)
    cluster.volumes = (VOLUME,)
    assert cluster.look(1) == Wait("volume data was just created")
    assert kept(cluster)


@pytest.mark.parametrize("data", [".glusterfs/health_check", "guest.raw"])
def test_a_brick_with_data_is_never_cleaned(cluster: Cluster, data: str) -> None:
    (cluster.folder / data).touch()
    with pytest.raises(RefusedError, match="is not empty"):
        cluster.clean()
    assert kept(cluster)


def test_data_of_a_volume_whose_definition_was_set_aside_is_not_to_be_moved_away(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = {"data": [Path("/var/lib/glusterd/cut-off/data")]}
    monkeypatch.setattr(marks.store, "set_aside", lambda volume: aside[volume])
    (cluster.folder / "guest.raw").touch()
    with pytest.raises(RefusedError, match="is not empty") as raised:
        cluster.clean()
    assert "/var/lib/glusterd/cut-off/data: keep the data" in raised.value.hint
    assert kept(cluster)


def test_a_folder_of_somebody_is_never_cleaned(cluster: Cluster) -> None:
    (cluster.folder / "images").mkdir()
    with pytest.raises(RefusedError, match="is not empty"):
        cluster.clean()
    assert (cluster.folder / ".glusterfs").is_dir()


def test_an_unmounted_brick_is_never_cleaned(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda self: False)
    assert cluster.clean() is None
    assert kept(cluster)


VOLUME = VolumeInfo("data", "750e245d-709e-4303-9d52-1f699a46268f", "Replicate", "Created", 3, 0, (), {})


@pytest.mark.parametrize("own", [True, False])
def test_a_brick_of_a_created_volume_is_marked_again(cluster: Cluster, own: bool) -> None:
    os.removexattr(cluster.folder, marks.VOLUME_ID)
    if not own:
        (cluster.folder / ".glusterfs").rmdir()
    marks.restore(VOLUME, cluster.folder.parent, cluster.folder)
    assert marks.volume_id(cluster.folder) == bytes.fromhex(VOLUME.id.replace("-", ""))
    assert (cluster.folder / ".glusterfs").is_dir()


@pytest.mark.parametrize("what", ["started", "data", "another", "not mounted"])
def test_no_other_folder_is_marked(cluster: Cluster, what: str) -> None:
    volume, mount = VOLUME, cluster.folder.parent
    if what != "another":
        os.removexattr(cluster.folder, marks.VOLUME_ID)
    if what == "data":
        (cluster.folder / "file").touch()
    if what == "started":
        volume = replace(VOLUME, status="Started")
    if what == "not mounted":
        mount = cluster.folder
    marks.restore(volume, mount, cluster.folder)
    assert marks.volume_id(cluster.folder) == (b"1" if what == "another" else None)


OWN_ID, FOREIGN_ID = "31000000-0000-0000-0000-000000000000", "32000000-0000-0000-0000-000000000000"


def marked_for(cluster: Cluster, *volumes: VolumeInfo) -> None:
    """The folder is marked as one of the first volume's."""
    os.setxattr(cluster.folder, marks.VOLUME_ID, bytes.fromhex(OWN_ID.replace("-", "")))
    cluster.volumes = volumes


def is_marked(cluster: Cluster) -> bool:
    return marks.volume_id(cluster.folder) is not None


STARTED = replace(VOLUME, id=OWN_ID, status="Started", bricks=("node2:/srv/brick",))


@pytest.mark.parametrize("known", [(STARTED,), (replace(STARTED, id=FOREIGN_ID),)])
def test_a_surplus_mark_is_taken_off(cluster: Cluster, clock: list[float], known: tuple[VolumeInfo, ...]) -> None:
    marked_for(cluster, *known)
    waiting = cluster.clean_surplus()
    assert waiting is not None
    assert "is marked as a brick, and is none of volume data" in waiting.reason
    assert is_marked(cluster), "this node's glusterd may be shown at any moment that it is a brick"
    clock[0] += marks.SURPLUS_S
    assert cluster.clean_surplus() is None
    assert not is_marked(cluster)
    assert list(cluster.folder.iterdir()) == []
    assert cluster.clean_surplus() is None


def test_all_must_have_been_connected_for_a_while(cluster: Cluster, clock: list[float]) -> None:
    marked_for(cluster, STARTED)
    assert cluster.clean_surplus() is not None
    clock[0] += marks.SURPLUS_S
    cluster.peers = (replace(OTHER, connected=False),)
    assert "not connected: node2.lab.trivet.internal" in str(cluster.clean_surplus())
    cluster.peers = (OTHER,)
    assert cluster.clean_surplus() is not None
    assert is_marked(cluster), "it was away a moment ago"
    clock[0] += marks.SURPLUS_S
    assert cluster.clean_surplus() is None
    assert not is_marked(cluster)


@pytest.mark.parametrize("why", ["busy", "a brick", "another volume", "data", "not mounted"])
def test_no_living_brick_loses_its_mark(
    cluster: Cluster, clock: list[float], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    marked_for(cluster, STARTED)
    cluster.clean_surplus()
    clock[0] += marks.SURPLUS_S
    said = {
        "busy": "volume data is being changed",
        "a brick": "was just taken into a volume",
        "another volume": "but of volume other",
        "data": "is not empty",
        "not mounted": "None",
    }
    cluster.busy = why == "busy"
    if why == "a brick":
        cluster.volumes = (replace(STARTED, bricks=(*STARTED.bricks, BRICK)),)
    if why == "another volume":
        cluster.volumes = (replace(STARTED, id=FOREIGN_ID), replace(STARTED, name="other"))
    if why == "data":
        (cluster.folder / ".glusterfs/health_check").touch()
    if why == "not mounted":
        monkeypatch.setattr(Path, "is_mount", lambda self: False)
    assert said[why] in str(cluster.clean_surplus())
    assert is_marked(cluster)
