"""What an image is made of: which elements a plan needs, and the keys of its layers. Pure decisions, and hashing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import firstboot
from builder.image.content import key, tree_digest
from builder.image.dib import Element, dib_version, find_element, with_dependencies
from builder.image.mirror import Mirrors
from firstboot.plan import ImagePlan, Mode, Plan

FORMAT = 3
"""Raised when the way in which layers are made changes in a way that no input shows."""

FIRSTBOOT = Path(firstboot.__file__).resolve().parent
ASSEMBLER = Path(__file__).resolve().parent
ASSEMBLER_FILES = ("layout.py", "boot.py", "disk.py", "grub.cfg.j2")

SHARED_ELEMENTS = (
    "trivet-debian",
    "trivet-tree",
    "trivet-kernel",
    "trivet-state",
    "trivet-boot",
    "trivet-network",
    "trivet-ssh",
    "trivet-time",
    "trivet-console",
    "trivet-quiet",
    "trivet-agent-runtime",
    "trivet-generic",
    "trivet-manifest",
)
GLUSTER_ELEMENTS = ("trivet-storage", "trivet-gluster")
VIRT_ELEMENTS = ("trivet-virt",)
AGENT_ELEMENTS = ("trivet-tarball", "trivet-tree", "trivet-agent", "trivet-ext4")


@dataclass(frozen=True)
class Recipe:
    """The layers of an image, each under the hash of its inputs."""

    image: ImagePlan
    mode: Mode
    mirrors: Mirrors
    elements: tuple[Element, ...]
    """Of the packages layer; those of the profile last."""
    packages_key: str
    content_key: str
    """Of the disk's content: packages, agent, layout. Identifiers on the disk derive from it."""
    image_key: str
    """Of the files published: content and formats."""


def mode_elements(mode: Mode) -> tuple[str, ...]:
    """The elements of a node of this mode; what it doesn't need is left out."""
    return SHARED_ELEMENTS + (GLUSTER_ELEMENTS if mode.has_gluster else ()) + (VIRT_ELEMENTS if mode.has_virt else ())


def recipe(plan: Plan, mirrors: Mirrors, version: str, *, base: Path | None = None) -> Recipe:
    """Work out the layers of a plan's image. Paths of its own elements are relative to `base`.

    Raises BadInputError for an element that is not there.
    """
    own = tuple(find_element(name, base) for name in plan.image.elements)
    elements = tuple(find_element(name) for name in mode_elements(plan.mode)) + own
    packages_key = key(
        layer="packages",
        format=FORMAT,
        dib=dib_version(),
        release=plan.image.release,
        elements=_digests(elements),
        order=[element.name for element in elements],
        packages=sorted(plan.image.packages),
        archive=mirrors.archive,
        security=mirrors.security,
    )
    content_key = key(
        layer="content",
        format=FORMAT,
        below=packages_key,
        elements=_digests(tuple(find_element(name) for name in AGENT_ELEMENTS)),
        agent=tree_digest(FIRSTBOOT),
        version=version,
        root_size_bytes=plan.image.root_size_bytes,
        assembler={name: _file_digest(ASSEMBLER / name) for name in ASSEMBLER_FILES},
        epoch=os.environ.get("SOURCE_DATE_EPOCH", ""),
    )
    return Recipe(
        image=plan.image,
        mode=plan.mode,
        mirrors=mirrors,
        elements=elements,
        packages_key=packages_key,
        content_key=content_key,
        image_key=key(layer="image", below=content_key, formats=sorted(plan.image.formats)),
    )


def _digests(elements: tuple[Element, ...]) -> dict[str, str]:
    return {element.name: tree_digest(element.folder) for element in with_dependencies(elements)}


def _file_digest(path: Path) -> str:
    return key(content=path.read_text())
