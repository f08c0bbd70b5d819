"""Seeds on media: file, small disk, and the partition of an image, each read back."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from builder.site import seeds
from builder.site.seeds import Extent, parse_partitions, write_seed_disk, write_seed_file, write_seed_partition
from firstboot.errors import BadInputError, MissingError, TrivetError
from firstboot.run import run
from firstboot.seed import Seed, decode
from tests.unit.site.seeds import small_plan, small_seed

MIB = 1024**2


@pytest.fixture(scope="module")
def seed() -> Seed:
    return small_seed()


def read_disk(disk: str | Path) -> Seed:
    return decode(run(["mtype", "-i", disk, "::seed.json"], timeout_s=60).stdout.encode(), source=disk)


def test_file(tmp_path: Path, seed: Seed) -> None:
    target = tmp_path / "seed.json"
    write_seed_file(target, seed)
    assert decode(target.read_bytes(), source=target) == seed
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_disk(tmp_path: Path, seed: Seed) -> None:
    disk = tmp_path / "seed.img"
    write_seed_disk(disk, seed)
    assert read_disk(disk) == seed
    assert stat.S_IMODE(disk.stat().st_mode) == 0o600
    assert disk.stat().st_size == 16 * MIB
    assert "TRIVET-SEED" in run(["mlabel", "-s", "-i", disk, "::"], timeout_s=60).stdout
    assert [path.name for path in tmp_path.iterdir()] == ["seed.img"]


def test_a_failed_disk_leaves_nothing(tmp_path: Path, seed: Seed, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object, **options: object) -> None:
        raise MissingError("program mkfs.fat is not installed")

    monkeypatch.setattr(seeds, "run", missing)
    with pytest.raises(MissingError):
        write_seed_disk(tmp_path / "seed.img", seed)
    assert list(tmp_path.iterdir()) == []


def image_with_seed_partition(path: Path) -> None:
    path.write_bytes(b"\xa5" * (40 * MIB))
    script = "label: gpt\nstart=1MiB, size=8MiB, name=trivet-root-a\nstart=9MiB, size=16MiB, name=trivet-seed\n"
    run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", path], timeout_s=60, input_text=script)


def test_partition_of_an_image(tmp_path: Path, seed: Seed) -> None:
    image = tmp_path / "trivet.raw"
    image_with_seed_partition(image)
    before = image.read_bytes()
    write_seed_partition(image, seed)
    after = image.read_bytes()
    assert read_disk(f"{image}@@{9 * MIB}") == seed
    assert after[: 9 * MIB] == before[: 9 * MIB]
    assert after[25 * MIB :] == before[25 * MIB :]
    other = small_seed()
    write_seed_partition(image, other)
    assert read_disk(f"{image}@@{9 * MIB}") == other


def test_images_that_have_no_place_for_a_seed(tmp_path: Path, seed: Seed) -> None:
    plain = tmp_path / "plain.raw"
    plain.write_bytes(bytes(MIB))
    with pytest.raises(BadInputError, match="has no partition trivet-seed"):
        write_seed_partition(plain, seed)
    assert plain.read_bytes() == bytes(MIB)
    qcow2 = tmp_path / "image.qcow2"
    qcow2.write_bytes(b"QFI\xfb" + bytes(1000))
    with pytest.raises(BadInputError, match="is a qcow2 image"):
        write_seed_partition(qcow2, seed)
    with pytest.raises(BadInputError, match="No such file"):
        write_seed_partition(tmp_path / "none", seed)


def table(*names: str) -> str:
    partitions = [{"node": "x", "start": 2048 * (n + 1), "size": 2048, "name": name} for n, name in enumerate(names)]
    return json.dumps({"partitiontable": {"label": "gpt", "sectorsize": 512, "partitions": partitions}})


def test_partition_tables() -> None:
    assert parse_partitions(table("trivet-esp", "trivet-seed")) == Extent(2 * MIB, MIB)
    assert parse_partitions(table("trivet-seed", "trivet-seed")) is None
    assert parse_partitions(table("trivet-esp")) is None
    for damaged in ("", "{}", "[]", '{"partitiontable": {"partitions": [{"name": "trivet-seed"}]}}', "null"):
        assert parse_partitions(damaged) is None


def test_a_seed_that_nodes_would_not_read_is_not_written(tmp_path: Path) -> None:
    plan = small_plan()
    keys = tuple(f"ssh-ed25519 {'A' * 1000} {n}" for n in range(1100))
    large = small_seed(plan=plan.model_copy(update={"access": plan.access.model_copy(update={"ssh_keys": keys})}))
    with pytest.raises(TrivetError, match="nodes read at most"):
        write_seed_file(tmp_path / "seed.json", large)
    assert list(tmp_path.iterdir()) == []
