"""The two layers of an image, made or taken from the cache: the packages, and the disk with the agent in it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from builder.image import disk
from builder.image.cache import Cache
from builder.image.dib import Element, TreeOrder, find_element, make_tree
from builder.image.host import AGENT_BYTES, PACKAGES_BYTES, Need, check_space
from builder.image.layout import MIB, Layout, layout
from builder.image.progress import Progress
from builder.image.recipe import AGENT_ELEMENTS, FIRSTBOOT, Recipe
from firstboot.errors import BadInputError
from firstboot.run import run

TREE = "tree.tar.zst"
PACKAGES = "packages.txt"
STAMP = "build.json"
LOADERS = ("boot.img", "core.img", "shimx64.efi", "grubx64.efi")
ROOT_ROOM = 1.15
"""A file system takes this much more than the same tree as a tar file."""
CONTENT = "content-bytes"
"""How large the root tree is, as a tar file."""
DISK = "disk"
"""Name of the image's files in its layer, before the suffix of the format."""


@dataclass(frozen=True)
class Workshop:
    """What every step of a build needs."""

    cache: Cache
    progress: Progress
    log_file: Path
    version: str


def packages_layer(recipe: Recipe, shop: Workshop) -> Path:
    """The folder with the root tree that holds all packages and no agent, and the list of packages."""

    def make(work: Path, made: Path) -> None:
        check_space([Need(shop.cache.root, PACKAGES_BYTES + AGENT_BYTES)])
        tree = work / "tree.tar"
        with shop.progress.step(f"packages: {recipe.mode.value} on Debian {recipe.image.release}") as on_step:
            _make_packages(recipe, shop, tree, work, on_step)
        with shop.progress.step("packages: keep for later builds"):
            wanted = [f"./usr/lib/trivet/{name}" for name in (PACKAGES, *(f"boot/{name}" for name in LOADERS))]
            run(
                [
                    "tar", "--extract", "--directory", made, "--transform", "s,.*/,,", "--no-same-owner",
                    "--file", tree, *wanted,
                ],
                timeout_s=300,
                hint="elements trivet-manifest and trivet-boot make these files",
            )  # fmt: skip
            (made / CONTENT).write_text(f"{tree.stat().st_size}\n")
            run(["zstd", "-q", "-3", "-T0", tree, "-o", made / TREE], timeout_s=1800)

    def waited() -> None:
        shop.progress.say("another build made the packages layer; going on")

    return shop.cache.obtain("packages", recipe.packages_key, make, waited)


def image_layer(recipe: Recipe, shop: Workshop) -> Path:
    """The folder with the disk image in every format asked for."""

    def make(work: Path, made: Path) -> None:
        below = packages_layer(recipe, shop)
        check_space([Need(shop.cache.root, AGENT_BYTES)])
        epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
        stamp = {"version": shop.version, "epoch": epoch, "key": recipe.content_key}
        (made / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")
        (made / PACKAGES).write_bytes((below / PACKAGES).read_bytes())
        _make_disk(recipe, shop, below, made, work, epoch)

    def waited() -> None:
        shop.progress.say("another build made this image; going on")

    return shop.cache.obtain("image", recipe.image_key, make, waited)


def _make_packages(recipe: Recipe, shop: Workshop, target: Path, work: Path, on_step: Callable[[str], None]) -> None:
    elements = recipe.elements
    if recipe.image.packages:
        elements = (*elements, _packages_element(recipe.image.packages, work))
    settings = {"DIB_DISTRIBUTION_MIRROR": recipe.mirrors.archive}
    if recipe.mirrors.security:
        settings["DIB_DEBIAN_SECURITY_MIRROR"] = recipe.mirrors.security
    if recipe.mirrors.proxy:
        settings["http_proxy"] = recipe.mirrors.proxy
    make_tree(
        TreeOrder(elements, recipe.image.release, settings),
        target,
        work=work,
        cache=shop.cache.root / "dib",
        log_file=shop.log_file,
        on_step=on_step,
    )


def _packages_element(packages: tuple[str, ...], work: Path) -> Element:
    """An element of the profile's packages, so that they come in the same transaction as all others."""
    folder = work / "elements" / "trivet-profile-packages"
    folder.mkdir(parents=True)
    (folder / "element-deps").write_text("package-installs\n")
    (folder / "package-installs.yaml").write_text(yaml.safe_dump({name: None for name in packages}))
    return Element(folder.name, folder)


def _make_disk(recipe: Recipe, shop: Workshop, below: Path, made: Path, work: Path, epoch: int) -> None:
    plan = layout(recipe.image.root_size_bytes, recipe.content_key)
    _check_root_size(plan, int((below / CONTENT).read_text()))
    raw = work / "disk.raw"
    with shop.progress.step("disk: partitions and boot loaders"):
        disk.assemble(raw, below, plan, shop.version)
    with shop.progress.step("disk: root file system with the agent") as on_step:
        make_tree(
            TreeOrder(
                tuple(find_element(name) for name in AGENT_ELEMENTS),
                recipe.image.release,
                {
                    "DIB_TARBALL_PATH": str(below / TREE),
                    "DIB_TRIVET_FIRSTBOOT": str(FIRSTBOOT),
                    "DIB_TRIVET_STAMP": str(made / STAMP),
                    "DIB_TRIVET_EXT4_FILE": str(raw),
                    "DIB_TRIVET_EXT4_OFFSET": str(plan.root.start_bytes),
                    "DIB_TRIVET_EXT4_KIB": str(plan.root.size_bytes // 1024),
                    "DIB_TRIVET_EXT4_LABEL": plan.root.name,
                    "DIB_TRIVET_EXT4_UUID": plan.root_fs_uuid,
                    "DIB_TRIVET_EXT4_HASH_SEED": plan.root_hash_seed,
                    "SOURCE_DATE_EPOCH": str(epoch),
                },
            ),
            None,
            work=work,
            cache=shop.cache.root / "dib",
            log_file=shop.log_file,
            on_step=on_step,
        )
    if "qcow2" in recipe.image.formats:
        with shop.progress.step("disk: qcow2"):
            run(
                [
                    "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-W", "-m", "8",
                    "-o", "compression_type=zstd", raw, made / f"{DISK}.qcow2",
                ],
                timeout_s=1800,
            )  # fmt: skip
    if "raw" in recipe.image.formats:
        raw.rename(made / f"{DISK}.raw")


def _check_root_size(plan: Layout, content_bytes: int) -> None:
    needed = int(content_bytes * ROOT_ROOM)
    if needed > plan.root.size_bytes:
        raise BadInputError(
            f"the root tree has {content_bytes // MIB} MiB, and image.root_size is {plan.root.size_bytes // MIB} MiB",
            hint=f"set image.root_size to at least {-(-needed // MIB)} MiB",
        )
