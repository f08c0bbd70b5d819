"""A small tree of the release that nodes run, for programs that are old on this machine: made once, then cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from builder.image.cache import Cache
from builder.image.host import KEYRING, Need, check_space
from builder.image.mirror import Mirrors
from firstboot.errors import MissingError
from firstboot.run import run

RELEASE = "trixie"
ARCHIVE = "tools.tar"
ROOM_BYTES = 1024**3
LIMIT_S = 1800.0
"""Measured 39 to 62 s."""


def tools_archive(cache: Cache, packages: tuple[str, ...], mirrors: Mirrors, waited: Callable[[], None]) -> Path:
    """A tar file of these packages and what they depend on, unpacked but not configured: for programs, not services.

    Raises CommandError when the packages can't be fetched, RefusedError without room for them.
    """
    key = hashlib.blake2b(json.dumps([RELEASE, sorted(packages)]).encode(), digest_size=32).hexdigest()

    def make(work: Path, made: Path) -> None:
        check_space([Need(work, ROOM_BYTES)])
        if not KEYRING.is_file():
            raise MissingError(f"{KEYRING} is not there", hint="apt-get install debian-archive-keyring")
        settings = {"http_proxy": mirrors.proxy} if mirrors.proxy else {}
        run(command(packages, mirrors, made / ARCHIVE), timeout_s=LIMIT_S, env={**settings, "TMPDIR": str(work)})

    return cache.obtain("tools", key, make, waited) / ARCHIVE


def command(packages: tuple[str, ...], mirrors: Mirrors, target: Path) -> list[str]:
    """mmdebstrap(1) for the tree, without documentation and recommended packages."""
    sources = [f"deb [signed-by={KEYRING}] {mirrors.archive} {RELEASE} main"]
    if mirrors.security:
        sources.append(f"deb [signed-by={KEYRING}] {mirrors.security} {RELEASE}-security main")
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=extract",
        f"--include={','.join(packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        RELEASE,
        str(target),
        *sources,
    ]
