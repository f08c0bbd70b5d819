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
from builder.image.layout import layout
from builder.image.progress import Progress
from builder.image.recipe import AGENT_ELEMENTS, FIRSTBOOT, Recipe
from firstboot.run import follow, run

TREE = "tree.tar.zst"
PACKAGES = "packages.txt"
STAMP = "build.json"
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
    kind, key = "packages", recipe.packages_key
    with shop.cache.lock(kind, key) as waited:
        if waited:
            shop.progress.say("another build made the packages layer; going on")
        found = shop.cache.find(kind, key)
        if found is not None and shop.cache.is_sound(found):
            return found
        check_space([Need(shop.cache.root, PACKAGES_BYTES + AGENT_BYTES)])
        with shop.cache.work() as work:
            made = work / "made"
            made.mkdir()
            tree = work / "tree.tar"
            with shop.progress.step(f"packages: {recipe.mode.value} on Debian {recipe.image.release}") as on_step:
                _make_packages(recipe, shop, tree, work, on_step)
            with shop.progress.step("packages: keep for later builds"):
                packages = run(
                    ["tar", "--extract", "--to-stdout", "--file", tree, "./usr/lib/trivet/packages.txt"],
                    timeout_s=300,
                )
                (made / PACKAGES).write_text(packages.stdout)
                run(["zstd", "-q", "-3", "-T0", tree, "-o", made / TREE], timeout_s=1800)
                return shop.cache.store(kind, key, made)


def image_layer(recipe: Recipe, shop: Workshop) -> Path:
    """The folder with the disk image in every format asked for."""
    kind, key = "image", recipe.image_key
    with shop.cache.lock(kind, key) as waited:
        if waited:
            shop.progress.say("another build made this image; going on")
        found = shop.cache.find(kind, key)
        if found is not None and shop.cache.is_sound(found):
            return found
        below = packages_layer(recipe, shop)
        check_space([Need(shop.cache.root, AGENT_BYTES)])
        with shop.cache.work() as work:
            made = work / "made"
            made.mkdir()
            epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
            stamp = {"version": shop.version, "epoch": epoch, "key": recipe.content_key}
            (made / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")
            (made / PACKAGES).write_bytes((below / PACKAGES).read_bytes())
            with shop.progress.step("agent: add to the root tree") as on_step:
                _make_agent(recipe, shop, below / TREE, made / STAMP, work, on_step)
            _make_disk(recipe, shop, work, made, epoch)
            return shop.cache.store(kind, key, made)


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


def _make_agent(
    recipe: Recipe, shop: Workshop, below: Path, stamp: Path, work: Path, on_step: Callable[[str], None]
) -> None:
    tar = work / "tree.tar"
    make_tree(
        TreeOrder(
            tuple(find_element(name) for name in AGENT_ELEMENTS),
            recipe.image.release,
            {
                "DIB_TARBALL_PATH": str(below),
                "DIB_TRIVET_FIRSTBOOT": str(FIRSTBOOT),
                "DIB_TRIVET_STAMP": str(stamp),
            },
        ),
        tar,
        work=work,
        cache=shop.cache.root / "dib",
        log_file=shop.log_file,
        on_step=on_step,
    )
    tree = work / "tree"
    tree.mkdir()
    follow(
        [
            "tar", "--extract", "--directory", tree, "--numeric-owner", "--xattrs", "--xattrs-include=*",
            "--exclude=./dev/*", "--file", tar,
        ],
        timeout_s=1800,
        log_file=shop.log_file,
    )  # fmt: skip
    tar.unlink()
    for name in ("dev", "proc", "sys", "run", "tmp", "mnt"):
        (tree / name).mkdir(exist_ok=True)


def _make_disk(recipe: Recipe, shop: Workshop, work: Path, made: Path, epoch: int) -> None:
    plan = layout(recipe.image.root_size_bytes, recipe.content_key)
    root_fs = work / "root.ext4"
    raw = work / "disk.raw"
    with shop.progress.step("root file system"):
        disk.make_root_fs(work / "tree", root_fs, plan, epoch)
    with shop.progress.step("disk: partitions and boot loaders"):
        disk.assemble(work / "tree", root_fs, raw, plan, shop.version)
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
