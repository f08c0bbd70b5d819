"""A build from plan to published files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from builder.image.cache import Cache
from builder.image.host import check_host
from builder.image.layers import Workshop, image_layer
from builder.image.mirror import host_mirrors
from builder.image.progress import Progress, Step
from builder.image.publish import Manifest, find_published, publish
from builder.image.recipe import recipe
from firstboot.errors import BadInputError, MissingError
from firstboot.plan import Plan


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
    present = None if refresh else find_published(folder, plan, wanted)
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
        manifest = publish(layer, folder, plan, wanted, release)
    return BuildResult(folder, manifest, True, tuple(progress.steps), time.monotonic() - started)


def _open_cache(root: Path) -> Cache:
    try:
        return Cache(root)
    except PermissionError as error:
        raise MissingError(
            f"cache folder {root} can't be written", hint="run as root, or set TRIVET_CACHE"
        ) from error
