"""The cache: whole entries only, also after damage and killed builds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builder.image.cache import ENTRY, KEPT_PER_KIND, Cache, digest
from builder.image.content import key

KEY = key(a=1)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def put(cache: Cache, name: str = KEY, text: str = "content") -> Path:
    with cache.work() as work:
        made = work / "made"
        made.mkdir()
        (made / "file").write_text(text)
        return cache.store("kind", name, made)


def test_stored_and_found(cache: Cache) -> None:
    assert cache.find("kind", KEY) is None
    folder = put(cache)
    assert cache.find("kind", KEY) == folder
    assert cache.is_sound(folder)
    assert cache.find("other", KEY) is None


def test_nothing_is_left_in_the_work_folder(cache: Cache) -> None:
    put(cache)
    with pytest.raises(RuntimeError), cache.work() as work:
        (work / "half").write_text("x")
        raise RuntimeError
    assert list((cache.root / "work").iterdir()) == []


def test_damage_is_noticed(cache: Cache) -> None:
    folder = put(cache)
    (folder / "file").write_text("contenT")
    assert cache.find("kind", KEY) == folder
    assert not cache.is_sound(folder)
    (folder / "file").write_text("short")
    assert cache.find("kind", KEY) is None
    assert put(cache) == folder
    assert cache.is_sound(folder)


def test_an_entry_without_its_record_is_none(cache: Cache) -> None:
    folder = put(cache)
    (folder / ENTRY).unlink()
    assert cache.find("kind", KEY) is None
    (folder / ENTRY).write_text('{"format": "trivet-layer"')
    assert cache.find("kind", KEY) is None


def test_old_entries_go(cache: Cache) -> None:
    for number in range(KEPT_PER_KIND + 3):
        folder = put(cache, key(number=number))
        os.utime(folder, (number, number))
    left = {path.name for path in cache.layers.iterdir()}
    assert len(left) == KEPT_PER_KIND
    assert folder.name in left


def test_what_a_killed_build_left_goes(cache: Cache) -> None:
    code = (
        "import os, sys, pathlib; from builder.image.cache import Cache\n"
        "with Cache(pathlib.Path(sys.argv[1])).work() as work:\n"
        "    (work / 'half').write_text('x'); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(cache.root)], check=False)
    assert done.returncode == -9
    assert [path for path in (cache.root / "work").iterdir() if path.is_dir()]
    with cache.work() as mine:
        assert [path for path in (cache.root / "work").iterdir() if path.is_dir()] == [mine]


def test_a_running_builds_work_stays(cache: Cache) -> None:
    with cache.work() as mine, cache.work() as other:
        assert mine.is_dir()
        assert other.is_dir()
        assert mine != other


def test_one_build_makes_a_layer_at_a_time(cache: Cache) -> None:
    code = (
        "import sys, pathlib; from builder.image.cache import Cache\n"
        "with Cache(pathlib.Path(sys.argv[1])).lock('kind', sys.argv[2]) as waited:\n"
        "    print(waited)\n"
    )
    argv = [sys.executable, "-c", code, str(cache.root), KEY]
    with cache.lock("kind", KEY) as waited:
        assert not waited
        other = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=3)
    assert other.communicate()[0] == "True\n"


def test_a_layer_is_made_once_and_again_when_it_is_damaged(cache: Cache) -> None:
    makes = []

    def make(work: Path, made: Path) -> None:
        assert made.parent == work
        makes.append(work)
        (made / "file").write_text("content")

    def obtain() -> Path:
        return cache.obtain("kind", KEY, make, lambda: pytest.fail("nobody else makes it"))

    folder = obtain()
    assert (folder / "file").read_text() == "content"
    assert obtain() == folder
    assert len(makes) == 1
    (folder / "file").write_text("contenT")
    assert obtain() == folder
    assert (folder / "file").read_text() == "content"
    assert len(makes) == 2


def test_who_waited_for_a_layer_takes_it(cache: Cache) -> None:
    code = (
        "import sys, pathlib; from builder.image.cache import Cache\n"
        "folder = Cache(pathlib.Path(sys.argv[1])).obtain('kind', sys.argv[2], None, lambda: print('waited'))\n"
        "print(folder)\n"
    )
    with cache.lock("kind", KEY):
        argv = [sys.executable, "-c", code, str(cache.root), KEY]
        other = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=3)
        folder = put(cache)
    assert other.communicate()[0] == f"waited\n{folder}\n"


def test_digest_sees_data_and_places(tmp_path: Path) -> None:
    digests = set()
    for offset, data in ((0, b"a"), (1 << 20, b"a"), (1 << 20, b"b")):
        path = tmp_path / f"{offset}{data!r}"
        with path.open("wb") as file:
            file.truncate(4 << 20)
            file.seek(offset)
            file.write(data)
        digests.add(digest(path))
    assert len(digests) == 3
