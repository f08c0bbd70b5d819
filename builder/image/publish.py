"""The output folder of a build: whole files under their names, described by build.json."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from builder.image.cache import data_ranges
from builder.image.host import Need, check_space
from builder.image.layers import DISK, PACKAGES, STAMP
from builder.image.layout import layout
from builder.image.recipe import Recipe
from firstboot.files import sync_folder, write_atomic
from firstboot.model import Model
from firstboot.plan import Mode, Plan

MANIFEST = "build.json"
SPARSE_COPY = 4 * 1024 * 1024


class PublishedFile(Model):
    """A file of the output folder."""

    name: str
    format: Literal["raw", "qcow2"]
    size_bytes: int
    modified_ns: int


class PublishedPartition(Model):
    """A partition of the image."""

    number: int
    name: str
    start_bytes: int
    size_bytes: int
    uuid: str


class Manifest(Model):
    """build.json of the output folder; format trivet-image 1."""

    format: Literal["trivet-image"] = "trivet-image"
    version: str = "1.0"
    name: str
    mode: Mode
    release: str
    trivet_version: str
    epoch: int
    """Build time, seconds since 1970."""
    key: str
    """Hash of all inputs of the published files."""
    content_key: str
    packages_key: str
    packages: int
    """How many Debian packages are in the image; packages.txt names them."""
    partitions: tuple[PublishedPartition, ...]
    files: tuple[PublishedFile, ...]


def find_published(folder: Path, plan: Plan, wanted: Recipe) -> Manifest | None:
    """The manifest of what is in the folder, if that is what is wanted and nobody changed it since."""
    manifest = _manifest(folder)
    if (
        manifest is None
        or manifest.key != wanted.image_key
        or manifest.name != plan.name
        or not (folder / PACKAGES).is_file()
    ):
        return None
    for file in manifest.files:
        path = folder / file.name
        if not path.is_file():
            return None
        facts = path.stat()
        if (facts.st_size, facts.st_mtime_ns) != (file.size_bytes, file.modified_ns):
            return None
    return manifest


def _manifest(folder: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def publish(layer: Path, folder: Path, plan: Plan, wanted: Recipe, release: str) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    sources = {name: layer / f"{DISK}.{name}" for name in plan.image.formats}
    check_space([Need(folder, sum(path.stat().st_blocks * 512 for path in sources.values()) + 64 * 1024 * 1024)])
    before = _manifest(folder)
    # From here until the new manifest is there, the folder says nothing about its content.
    (folder / MANIFEST).unlink(missing_ok=True)
    for file in before.files if before else ():
        if file.format not in sources:
            (folder / file.name).unlink(missing_ok=True)
    files = []
    for name, source in sources.items():
        target = folder / f"trivet-{plan.name}.{name}"
        _copy_whole(source, target)
        facts = target.stat()
        files.append(
            PublishedFile(name=target.name, format=name, size_bytes=facts.st_size, modified_ns=facts.st_mtime_ns)
        )
    packages = (layer / PACKAGES).read_text()
    write_atomic(folder / PACKAGES, packages)
    stamp = json.loads((layer / STAMP).read_text())
    manifest = Manifest(
        name=plan.name,
        mode=plan.mode,
        release=plan.image.release,
        trivet_version=release,
        epoch=int(stamp["epoch"]),
        key=wanted.image_key,
        content_key=wanted.content_key,
        packages_key=wanted.packages_key,
        packages=len(packages.splitlines()),
        partitions=tuple(
            PublishedPartition(
                number=part.number,
                name=part.name,
                start_bytes=part.start_bytes,
                size_bytes=part.size_bytes,
                uuid=part.uuid,
            )
            for part in layout(plan.image.root_size_bytes, wanted.content_key).partitions
        ),
        files=tuple(files),
    )
    write_atomic(folder / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    return manifest


def _copy_whole(source: Path, target: Path) -> None:
    """Copy without the holes, under a temporary name until it is whole. An image in use keeps its old content."""
    part = target.with_name(f".{target.name}.part")
    try:
        with source.open("rb") as reader, part.open("wb") as writer:
            size = os.fstat(reader.fileno()).st_size
            writer.truncate(size)
            for start, end in data_ranges(reader.fileno(), size):
                reader.seek(start)
                writer.seek(start)
                left = end - start
                while left > 0:
                    block = reader.read(min(SPARSE_COPY, left))
                    writer.write(block)
                    left -= len(block)
            writer.flush()
            os.fsync(writer.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
