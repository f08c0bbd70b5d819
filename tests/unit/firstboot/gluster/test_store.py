"""glusterd's store after a crash: what was never written goes, everything else stays."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from firstboot.gluster import store as room
from firstboot.gluster.store import half_met, lacks_volfiles, mend, set_aside

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
    """As glusterd 10.3 writes it, without what nobody reads here; this node has the first brick."""
    named = "".join(f"brick-{index}={brick}\n" for index, brick in enumerate(BRICKS))
    write(store / "vols/data/info", f"type=2\ncount=3\nstatus={status}\nsub_count=3\n{named}")
    write(store / "vols/data/cksum", "info=3543169165\n")
    for brick in BRICKS:
        port = 50152 if status and brick is BRICKS[0] else 0
        path = brick.partition(":")[2].replace("-", "/")
        write(store / "vols/data/bricks" / brick, f"hostname=x\npath={path}\nlisten-port={port}\n")
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


@pytest.fixture
def begun(store: Path) -> Path:
    """A volume's folder as a creation leaves it that is cut off before the definition is in its place."""
    folder = store / "vols/data"
    volume(store, status=0)
    write(folder / "info.tmp", (folder / "info").read_text())
    (folder / "info").write_text("")
    (folder / "cksum").unlink()
    return folder


@pytest.mark.parametrize("lost", ["empty", "missing"])
def test_a_volume_that_was_never_defined_goes(store: Path, begun: Path, lost: str) -> None:
    if lost == "missing":
        (begun / "info").unlink()
    assert mend(store) == [begun]
    assert not begun.exists()
    assert not (store / "cut-off").exists()


@pytest.mark.parametrize("lost", ["empty", "missing"])
def test_a_volume_that_was_not_created_to_its_end_goes(store: Path, lost: str) -> None:
    volume(store, status=0)
    brick = store / "vols/data/bricks" / BRICKS[2]
    if lost == "empty":
        brick.write_text("")
    else:
        brick.unlink()
    assert mend(store) == [store / "vols/data"]
    assert not (store / "vols/data").exists()
    assert not (store / "cut-off").exists()


@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_whole_volume_stays_whatever_its_state(store: Path, status: int) -> None:
    volume(store, status=status)
    before = files(store)
    assert mend(store) == []
    assert files(store) == before


def damage(folder: Path, what: str) -> None:
    """Each keeps glusterd 10.3 from starting, as tried with it."""
    info, brick = folder / "info", folder / "bricks" / BRICKS[2]
    text = info.read_text()
    match what:
        case "zeros":
            info.write_bytes(bytes(len(text)))
        case "half":
            info.write_text(text[: text.index("brick-1") + 4])
        case "first line":
            info.write_text("type=2\n")
        case "empty":
            info.write_text("")
        case "missing":
            info.unlink()
        case "brick missing":
            brick.unlink()
        case "brick empty":
            brick.write_text("")
        case "brick zeros":
            brick.write_bytes(bytes(brick.stat().st_size))


DAMAGES = ["zeros", "half", "first line", "empty", "missing", "brick missing", "brick empty", "brick zeros"]


@pytest.mark.parametrize("status", [1, 2])
@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_volume_that_was_started_is_set_aside(store: Path, what: str, status: int) -> None:
    volume(store, status=status)
    damage(store / "vols/data", what)
    before = {name: (store / "vols/data" / name).read_bytes() for name in files(store / "vols/data")}
    assert mend(store) == [store / "vols/data"]
    aside = store / "cut-off/data"
    assert {name: (aside / name).read_bytes() for name in files(aside)} == before
    assert list((store / "vols").iterdir()) == [], "glusterd would not start"
    assert set_aside("data", store) == [aside]
    assert mend(store) == []


@pytest.mark.parametrize("line", ["count=3\n", "status=1\n"])
def test_a_volume_that_glusterd_would_take_for_another_is_set_aside(store: Path, line: str) -> None:
    info = store / "vols/data/info"
    info.write_text(info.read_text().replace(line, ""))
    assert mend(store) == [store / "vols/data"]
    assert line not in (store / "cut-off/data/info").read_text()


@pytest.mark.parametrize("said", ["port", "checksum", "next definition", "some content"])
def test_a_volume_without_a_definition_is_set_aside_if_anything_says_that_it_had_one(
    store: Path, begun: Path, said: str
) -> None:
    match said:
        case "port":
            write(begun / "bricks" / BRICKS[0], "hostname=x\npath=/x\nlisten-port=50152\n")
        case "checksum":
            write(begun / "cksum", "info=3543169165\n")
        case "next definition":
            write(begun / "info.tmp", "type=2\ncount=3\nstatus=1\n")
        case "some content":
            write(begun / "info", "\n")
    mend(store)
    assert files(store / "cut-off/data") >= {"info", f"bricks/{BRICKS[0]}"}


def test_what_can_not_be_read_is_set_aside(store: Path, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def fails(path: Path, **how: str) -> str:
        if path.name == "info":
            raise OSError(errno.EIO, "Input/output error")
        return read(path, **how)

    monkeypatch.setattr(Path, "read_text", fails)
    assert mend(store) == [begun]
    assert (store / "cut-off/data/info").exists()


def test_what_was_set_aside_before_stays(store: Path) -> None:
    for number in range(3):
        volume(store, status=1)
        write(store / "vols/data/info", f"damaged {number}\n")
        mend(store)
    aside = [store / "cut-off" / name for name in ("data", "data.1", "data.2")]
    assert [(folder / "info").read_text() for folder in aside] == [f"damaged {number}\n" for number in range(3)]
    assert set_aside("data", store) == aside
    assert set_aside("dat", store) == []


def test_setting_aside_is_durable(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[Path, bool]] = []
    aside = store / "cut-off/data"
    monkeypatch.setattr(room, "sync_folder", lambda folder: synced.append((folder, aside.exists())))
    damage(store / "vols/data", "half")
    mend(store)
    assert set(synced) == {(folder, True) for folder in (store, store / "cut-off", store / "vols")}


def test_a_damaged_volume_leaves_the_others_alone(store: Path) -> None:
    (store / "vols/data").rename(store / "vols/other")
    volume(store, status=1)
    damage(store / "vols/data", "half")
    assert mend(store) == [store / "vols/data"]
    assert (store / "vols/other/info").exists()


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
