"""Writes seeds: as a plain file, as a small disk labelled TRIVET-SEED, or into an image's trivet-seed partition."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from firstboot.errors import BadInputError, TrivetError
from firstboot.files import sync_folder, write_atomic
from firstboot.run import run
from firstboot.seed import FILE_NAME, LABEL, MAX_BYTES, Seed, encode

DISK_BYTES = 16 * 1024**2
PARTITION = "trivet-seed"
TOOL_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Extent:
    """A range of bytes of an image or disk."""

    start: int
    size: int


def write_seed_file(path: Path, seed: Seed) -> None:
    """Write the seed's own file, mode 0600, whole or not at all."""
    write_atomic(path, _bytes(seed), mode=0o600)


def write_seed_disk(path: Path, seed: Seed, *, size_bytes: int = DISK_BYTES) -> None:
    """Write a raw disk image with one FAT file system that holds the seed, mode 0600, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    making = Path(name)
    try:
        with os.fdopen(handle, "r+b") as file:
            file.truncate(size_bytes)
            _fill(making, seed)
            os.fsync(file.fileno())
        making.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            making.unlink()
        raise
    sync_folder(path.parent)


def write_seed_partition(image: Path, seed: Seed) -> None:
    """Replace the content of the trivet-seed partition of a raw image or disk; nothing else of it is touched."""
    extent = seed_partition(image)
    with tempfile.TemporaryDirectory(prefix="trivet-seed-") as folder:
        disk = Path(folder) / "seed.img"
        write_seed_disk(disk, seed, size_bytes=extent.size)
        with image.open("r+b") as target:
            target.seek(extent.start)
            target.write(disk.read_bytes())
            target.flush()
            os.fsync(target.fileno())


def seed_partition(image: Path) -> Extent:
    """Where the trivet-seed partition of a raw image is; raises BadInputError when there is none."""
    hint = "give the .raw image of a build: trivet build PROFILE -o DIR"
    try:
        with image.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise BadInputError(f"{image} can't be read: {error.strerror}", hint=hint) from error
    if head == b"QFI\xfb":
        raise BadInputError(f"{image} is a qcow2 image; a seed is written into a raw one", hint=hint)
    done = run(["sfdisk", "--json", image], timeout_s=TOOL_TIMEOUT_S, check=False)
    extent = parse_partitions(done.stdout) if done.ok else None
    if extent is None:
        raise BadInputError(f"{image} has no partition {PARTITION}", hint=hint)
    return extent


def parse_partitions(text: str) -> Extent | None:
    """The trivet-seed partition in the output of `sfdisk --json`; None when it is not there just once."""
    try:
        table = json.loads(text)["partitiontable"]
        sector = int(table.get("sectorsize", 512))
        found = [
            Extent(int(partition["start"]) * sector, int(partition["size"]) * sector)
            for partition in table.get("partitions", [])
            if partition.get("name") == PARTITION
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return found[0] if len(found) == 1 else None


def _fill(image: Path, seed: Seed) -> None:
    run(["mkfs.fat", "-n", LABEL, image], timeout_s=TOOL_TIMEOUT_S, hint="install the Debian package dosfstools")
    run(
        ["mcopy", "-i", image, "-", f"::{FILE_NAME}"],
        timeout_s=TOOL_TIMEOUT_S,
        input_text=_bytes(seed).decode(),
        env={"MTOOLS_SKIP_CHECK": "1"},
        hint="install the Debian package mtools",
    )


def _bytes(seed: Seed) -> bytes:
    raw = encode(seed)
    if len(raw) > MAX_BYTES:
        raise TrivetError(
            f"the seed has {len(raw)} bytes; nodes read at most {MAX_BYTES}", hint="shorten the profile"
        )
    return raw
