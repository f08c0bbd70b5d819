"""What a build needs of the host: root, programs, and space."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from firstboot.errors import MissingError, RefusedError

PROGRAMS = {
    "sudo": "sudo",
    "mmdebstrap": "mmdebstrap",
    "qemu-img": "qemu-utils",
    "mcopy": "mtools",
    "mkfs.fat": "dosfstools",
    "sfdisk": "fdisk",
    "zstd": "zstd",
    "tar": "tar",
    "ps": "procps",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "apt-config": "apt",
}
"""Program → the Debian package that has it."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

MIB = 1024 * 1024
PACKAGES_BYTES = 3500 * MIB
"""Root tree and its tar (0.65 GiB each), downloads, and the cached layer, twice over."""
AGENT_BYTES = 1800 * MIB


@dataclass(frozen=True)
class Need:
    """Space that a step takes in a folder."""

    folder: Path
    size_bytes: int


def check_host(path: str | None = None) -> None:
    """Raise MissingError, naming every missing program and its package at once."""
    if os.geteuid() != 0:
        raise MissingError("building an image needs root", hint="run it with sudo")
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None})
    if not KEYRING.is_file():
        missing.append("debian-archive-keyring")
    if missing:
        raise MissingError(
            f"Debian packages that a build needs are missing: {', '.join(missing)}",
            hint=f"apt-get install {' '.join(missing)}",
        )


def check_space(needs: list[Need]) -> None:
    """Raise RefusedError when a file system has less room than all steps in it together want."""
    by_device: dict[int, Need] = {}
    for need in needs:
        device = need.folder.stat().st_dev
        before = by_device.get(device)
        by_device[device] = Need(
            before.folder if before else need.folder, need.size_bytes + (before.size_bytes if before else 0)
        )
    for need in by_device.values():
        free = shutil.disk_usage(need.folder).free
        if free < need.size_bytes:
            raise RefusedError(
                f"too little space for a build: {need.folder} has {free // MIB} MiB free, "
                f"the build needs {need.size_bytes // MIB} MiB",
                hint="make room, or put the cache elsewhere with TRIVET_CACHE=FOLDER",
            )
