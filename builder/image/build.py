"""A build from plan to published files."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from builder.image.cache import Cache, data_ranges
from builder.image.host import Need, check_host, check_space
from builder.image.layers import DISK, PACKAGES, STAMP, Workshop, image_layer
from builder.image.layout import layout
from builder.image.mirror import host_mirrors
from builder.image.progress import Progress, Step
from builder.image.recipe import Recipe, recipe
from firstboot.errors import BadInputError, MissingError
from firstboot.files import sync_folder, write_atomic
from firstboot.model import Model
from firstboot.plan import Mode, Plan

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


@dataclass(frozen=True)
class BuildResult:
    """What a build left in its output folder."""

    folder: Path
    manifest: Manifest
    changed: bool
    """False when everything was there already."""
    steps: tuple[Step, ...]
    duration_s: float

    def path(self, image_format: Literal["raw", "qcow2"]) -> Path | None:
        """The image in that format, if the plan asks for it."""
        for file in self.manifest.files:
            if file.format == image_format:
                return self.folder / file.name
        return None


def default_cache() -> Path:
    """$TRIVET_CACHE, else /var/cache/trivet for root and ~/.cache/trivet for others."""
    asked = os.environ.get("TRIVET_CACHE", "")
    if asked:
        return Path(asked).absolute()
    return Path("/var/cache/trivet") if os.geteuid() == 0 else Path.home() / ".cache" / "trivet"


def build_image(
    plan: Plan,
    folder: Path,
    *,
    mirror: str | None = None,
    security_mirror: str | None = None,
    base: Path | None = None,
    refresh: bool = False,
    cache_folder: Path | None = None,
    progress: Progress | None = None,
) -> BuildResult:
    """Build the node image of a plan into `folder`: trivet-NAME.raw|qcow2, packages.txt, build.json.

    Nothing is done when the folder holds it already. `base` is where paths of the plan's elements begin; `refresh`
    fetches all packages again. Raises TrivetError; files appear under their names only when they are whole.
    """
    started = time.monotonic()
    progress = progress or Progress()
    release = version("trivet")
    wanted = recipe(plan, host_mirrors(mirror, security_mirror), release, base=base)
    if folder.exists() and not folder.is_dir():
        raise BadInputError(f"output folder {folder} is not a folder")
    present = None if refresh else _present(folder, plan, wanted)
    if present is not None:
        return BuildResult(folder, present, False, tuple(progress.steps), time.monotonic() - started)
    check_host()
    cache = _open_cache(cache_folder or default_cache())
    log_file = cache.logs / f"build-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    shop = Workshop(cache, progress, log_file, release)
    if refresh:
        cache.drop("packages", wanted.packages_key)
        cache.drop("image", wanted.image_key)
    layer = image_layer(wanted, shop)
    with progress.step(f"publish in {folder}"):
        manifest = _publish(layer, folder, plan, wanted, release)
    return BuildResult(folder, manifest, True, tuple(progress.steps), time.monotonic() - started)


def _open_cache(root: Path) -> Cache:
    try:
        return Cache(root)
    except PermissionError as error:
        raise MissingError(
            f"cache folder {root} can't be written", hint="run as root, or set TRIVET_CACHE"
        ) from error


def _present(folder: Path, plan: Plan, wanted: Recipe) -> Manifest | None:
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
        return Manifest.model_validate_json((folder / "build.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _publish(layer: Path, folder: Path, plan: Plan, wanted: Recipe, release: str) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    sources = {name: layer / f"{DISK}.{name}" for name in plan.image.formats}
    check_space([Need(folder, sum(path.stat().st_blocks * 512 for path in sources.values()) + 64 * 1024 * 1024)])
    before = _manifest(folder)
    # From here until the new manifest is there, the folder says nothing about its content.
    (folder / "build.json").unlink(missing_ok=True)
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
    write_atomic(folder / "build.json", manifest.model_dump_json(indent=1) + "\n")
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
