"""Mounts of bricks: the node mounts them itself at each start, and checks that what is mounted is the right brick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firstboot.disks.tags import Brick, require_tag
from firstboot.errors import RefusedError
from firstboot.paths import brick_mount
from firstboot.run import run

OPTIONS = "inode64,noatime"
MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo."""

    source: str
    point: str
    kind: str


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """The mounts of proc(5)'s mountinfo, in the order they were made."""
    mounts: list[Mount] = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        kind, source, *_ = right.split(" ")
        mounts.append(Mount(source=_unescape(source), point=_unescape(left.split(" ")[4]), kind=kind))
    return tuple(mounts)


def mounted_at(point: Path) -> Mount | None:
    """What is mounted at a folder: the last mount there."""
    found = [m for m in parse_mountinfo(MOUNTINFO.read_text()) if m.point == str(point)]
    return found[-1] if found else None


def is_mounted(brick: Brick) -> bool:
    """Whether the brick is at its place; raises RefusedError when something else is."""
    point = brick_mount(brick.volume, brick.index)
    mount = mounted_at(point)
    if mount is None:
        return False
    if mount.kind != "xfs":
        raise RefusedError(f"{point} has a mount of {mount.kind} from {mount.source}, not a brick", hint="unmount it")
    require_tag(point, brick)
    return True


def mount_device(device: str, brick: Brick) -> Path:
    """Mount a device at the brick's place, unless it is mounted there already, and return the place.

    Raises RefusedError when another device is.
    """
    point = brick_mount(brick.volume, brick.index)
    point.mkdir(parents=True, exist_ok=True)
    mount = mounted_at(point)
    if mount is None:
        run(["mount", "-t", "xfs", "-o", OPTIONS, device, point], timeout_s=300)
    elif point.stat().st_dev != Path(device).stat().st_rdev:
        raise RefusedError(
            f"{mount.source} is mounted at {point}, where {device} belongs",
            hint="find out who mounted it, and unmount it",
        )
    return point


def _unescape(text: str) -> str:
    # proc(5): space, tab, newline and backslash are written in octal.
    for octal, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, char)
    return text
