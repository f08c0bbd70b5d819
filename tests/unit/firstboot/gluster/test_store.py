"""glusterd's store after a crash: what was never written goes, everything else stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot.gluster.store import half_met, lacks_volfiles, mend

PEER = "67d6745c-9dbe-4ee7-8843-db3e55cb60bc"
OTHER = "f9e386d1-af33-4101-81f2-2655ac949e10"
BRICKS = tuple(f"node{n}.lab.trivet.internal:-var-lib-trivet-bricks-data-0-brick" for n in (1, 2, 3))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A pool of three with one volume."""
    write(tmp_path / "glusterd.info", f"UUID={PEER}\n")
    write(tmp_path / "secure-access", "")
    for uuid in (PEER, OTHER):
        write(tmp_path / "peers" / uuid, f"uuid={uuid}\nstate=3\n")
    volume(tmp_path, status=1)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def volume(store: Path, *, status: int) -> None:
    write(store / "vols/data/info", f"type=2\ncount=3\nstatus={status}\n")
    for brick in BRICKS:
        write(store / "vols/data/bricks" / brick, "hostname=x\n")
        write(store / "vols/data" / f"data.{brick.replace(':-', '.')}.vol", "volume data-posix\n")
    write(store / "vols/data/data.tcp-fuse.vol", "volume data\n")
    write(store / "vols/data/run/empty.pid", "")


def files(store: Path) -> set[str]:
    return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}


def test_a_whole_store_is_left_alone(store: Path) -> None:
    before = files(store)
    assert mend(store) == []
    assert files(store) == before


def test_without_a_store_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert mend(tmp_path / "glusterd") == []
    assert half_met(tmp_path / "glusterd") == frozenset()


def test_a_peer_that_was_never_written_goes(store: Path) -> None:
    (store / "peers" / OTHER).write_text("")
    assert mend(store) == [store / "peers" / OTHER]
    assert (store / "peers" / PEER).exists()


def test_a_peer_that_was_asked_and_never_answered_goes(store: Path) -> None:
    (store / "peers" / OTHER).write_text(f"uuid={OTHER}\nstate=1\n")
    assert mend(store) == [store / "peers" / OTHER]


def test_a_peer_known_by_name_alone_goes(store: Path) -> None:
    write(store / "peers/node2.lab.trivet.internal", "uuid=00000000-0000-0000-0000-000000000000\n")
    write(store / f"peers/{OTHER}.tmp", "")
    assert half_met(store) == {"node2.lab.trivet.internal"}
    mend(store)
    assert files(store / "peers") == {PEER, OTHER}
    assert half_met(store) == frozenset()


@pytest.mark.parametrize("info", [None, ""])
def test_a_volume_without_a_definition_goes(store: Path, info: str | None) -> None:
    (store / "vols/data/info").unlink()
    if info is not None:
        write(store / "vols/data/info", info)
    assert mend(store) == [store / "vols/data"]
    assert not (store / "vols/data").exists()


@pytest.mark.parametrize("lost", ["empty", "missing"])
def test_a_volume_that_was_not_created_to_its_end_goes(store: Path, lost: str) -> None:
    volume(store, status=0)
    brick = store / "vols/data/bricks" / BRICKS[2]
    if lost == "empty":
        brick.write_text("")
    else:
        brick.unlink()
    assert mend(store) == [store / "vols/data"]


def test_a_volume_that_was_started_once_always_stays(store: Path) -> None:
    (store / "vols/data/bricks" / BRICKS[2]).write_text("")
    for status in (1, 2):
        write(store / "vols/data/info", f"type=2\ncount=3\nstatus={status}\n")
        assert mend(store) == []


@pytest.mark.parametrize("state", [2, 5, 9, 10])
def test_a_peer_whose_answer_was_cut_off_is_asked_again(store: Path, state: int) -> None:
    peer = store / "peers" / OTHER
    peer.write_text(f"uuid={OTHER}\nstate={state}\nhostname1=node2.lab.trivet.internal\n")
    assert mend(store) == [peer]
    assert peer.read_text() == f"uuid={OTHER}\nstate=3\nhostname1=node2.lab.trivet.internal\n"
    assert peer.stat().st_mode & 0o777 == 0o600
    assert mend(store) == []


@pytest.mark.parametrize("state", [0, 3, 4, 6, 7])
def test_a_meeting_that_goes_on_by_itself_is_left_alone(store: Path, state: int) -> None:
    (store / "peers" / OTHER).write_text(f"uuid={OTHER}\nstate={state}\n")
    assert mend(store) == []


def test_volfiles_that_are_lost_or_empty_are_noticed(store: Path, tmp_path: Path) -> None:
    assert not lacks_volfiles(store)
    brick = store / "vols/data" / f"data.{BRICKS[0].replace(':-', '.')}.vol"
    brick.write_text("")
    assert lacks_volfiles(store)
    brick.unlink()
    assert lacks_volfiles(store)
    write(brick, "volume data-posix\n")
    write(store / "vols/data/data.tcp-fuse.vol", "")
    assert lacks_volfiles(store)
    assert not lacks_volfiles(tmp_path / "nothing")
