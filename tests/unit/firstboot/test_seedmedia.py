"""Seeds on FAT media, read with mtools from image files; no mount, no device."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from firstboot import paths, seedmedia
from firstboot.errors import BadInputError, RefusedError
from firstboot.seed import MAX_BYTES, decode, encode
from firstboot.seedmedia import Found, choose, read_medium
from tests.unit.firstboot.sites import site

_, SEEDS = site(2)


@pytest.fixture(autouse=True)
def _run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")


def medium(folder: Path, content: bytes | None, name: str = "seed.json") -> str:
    image = folder / "medium"
    subprocess.run(["mkfs.fat", "-n", "TRIVET-SEED", "-C", image, "16384"], check=True, capture_output=True)
    if content is not None:
        file = folder / "content"
        file.write_bytes(content)
        subprocess.run(["mcopy", "-i", image, file, f"::{name}"], check=True)
    return str(image)


def test_a_seed_is_read(tmp_path: Path) -> None:
    raw = read_medium(medium(tmp_path, encode(SEEDS[0])))
    assert raw is not None
    assert decode(raw, source="medium") == SEEDS[0]


def test_an_empty_medium_has_none(tmp_path: Path) -> None:
    assert read_medium(medium(tmp_path, None)) is None
    assert not list((tmp_path / "run").glob("*"))


def test_an_oversized_file_is_cut_and_refused(tmp_path: Path) -> None:
    raw = read_medium(medium(tmp_path, b"x" * (MAX_BYTES * 3)))
    assert raw is not None
    assert len(raw) <= MAX_BYTES + 1
    with pytest.raises(BadInputError, match="larger than"):
        decode(raw, source="medium")


def test_a_medium_without_a_file_system_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(b"\x01" * 65536)
    with pytest.raises(BadInputError, match="can't be read as FAT"):
        read_medium(str(path))


def test_copies_of_one_seed_count_once() -> None:
    assert choose([]) is None
    only = choose([Found(SEEDS[0], "/dev/a"), Found(SEEDS[0], "/dev/b")])
    assert only is not None
    assert only.source == "/dev/a"


def test_two_different_seeds_are_both_named() -> None:
    with pytest.raises(RefusedError) as caught:
        choose([Found(SEEDS[0], "/dev/a"), Found(SEEDS[1], "/dev/b")])
    assert "slot 1 of site demo" in caught.value.message
    assert "/dev/b" in caught.value.message


def test_find_reads_every_medium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = medium(tmp_path, encode(SEEDS[0]))
    monkeypatch.setattr(seedmedia, "media", lambda: [image])
    found = seedmedia.find()
    assert found is not None
    assert found == Found(SEEDS[0], image)
