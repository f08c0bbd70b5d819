"""How a brick says whose it is: XFS UUID and label, LVM tags, and the tag file in the mount (docs/formats.md)."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from firstboot.document import Source, load_document
from firstboot.errors import RefusedError
from firstboot.files import write_atomic
from firstboot.model import Model

TAG_FILE = ".trivet-brick.json"
LABEL_NEW = "trivet-new"
"""The label while a brick is being made: it never held data, so it may be made again."""
LABEL_READY = "trivet-brick"
"""The label once the tag file is durable: never formatted again. XFS labels have at most 12 characters."""


@dataclass(frozen=True)
class Brick:
    """One brick of this node; `index` counts the disks of its class from 0."""

    site: str
    slot: int
    volume: str
    index: int

    @property
    def xfs_uuid(self) -> str:
        """The file system's UUID: it follows from the brick, so that a half-made one is recognised unmounted."""
        return str(uuid.uuid5(uuid.UUID(hex=self.site), f"slot {self.slot} volume {self.volume} index {self.index}"))

    @property
    def tag(self) -> TagFile:
        return TagFile(site=self.site, slot=self.slot, volume=self.volume, index=self.index)


class TagFile(Model):
    """The file .trivet-brick.json at the top of a brick's file system; format trivet-brick 1."""

    format: Literal["trivet-brick"] = "trivet-brick"
    version: str = "1.0"
    site: str
    slot: int
    volume: str
    index: int


def group_tags(site: str, slot: int, brick_class: str, index: int) -> tuple[str, ...]:
    """The tags of a brick disk's volume group."""
    return (f"trivet.site={site}", f"trivet.slot={slot}", f"trivet.class={brick_class}", f"trivet.index={index}")


def lv_tags(brick: Brick) -> tuple[str, ...]:
    """The tags of a brick's lv."""
    return (
        f"trivet.site={brick.site}",
        f"trivet.slot={brick.slot}",
        f"trivet.volume={brick.volume}",
        f"trivet.index={brick.index}",
    )


def write_tag(mount: Path, brick: Brick) -> None:
    """Write the tag file durably."""
    document = json.dumps(brick.tag.model_dump(mode="json"), indent=1, sort_keys=True)
    write_atomic(mount / TAG_FILE, document + "\n")


def read_tag(mount: Path) -> TagFile | None:
    """The tag file, or None when there is none; raises RefusedError for one that can't be understood."""
    path = mount / TAG_FILE
    source = Source(
        f"tag file {path}",
        hint="look at it by hand",
        version_hint="boot the newer image that wrote it",
        error=RefusedError,
    )
    try:
        return load_document(path, TagFile, source)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RefusedError(f"{path} can't be read: {error.strerror}", hint="look at the disk: dmesg") from error


def require_tag(mount: Path, brick: Brick) -> None:
    """Raise RefusedError unless what is mounted is this brick."""
    tag = read_tag(mount)
    hint = "put the right disk into this machine; nothing on it was changed"
    if tag is None:
        raise RefusedError(f"what is mounted at {mount} carries no tag file", hint=hint)
    if tag != brick.tag:
        raise RefusedError(
            f"at {mount} is brick {tag.index} of volume {tag.volume}, slot {tag.slot}, site {tag.site}",
            hint=hint,
        )
