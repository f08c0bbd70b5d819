"""What this node's bricks know that other copies lack: the marks that Gluster's replication keeps on files."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from firstboot import paths

GFID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MARK = "trusted.afr."
MOST_FILES = 10_000
"""So many are looked at; with more to heal than that, the first ones tell."""


def copies(volume: str, folder: Path = paths.GLUSTERD) -> dict[str, str]:
    """By the name that the marks have for it, each brick of a volume, as `host:/path`."""
    found = {}
    for path in sorted((folder / "vols" / volume / "bricks").glob("*")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        fields = dict(line.split("=", 1) for line in lines if "=" in line)
        if {"brick-id", "hostname", "path"} <= fields.keys():
            found[fields["brick-id"]] = f"{fields['hostname']}:{fields['path']}"
    return found


def owed(brick: Path, names: Collection[str]) -> frozenset[str]:
    """Which of these copies, by the names of the marks, lack something that this brick has."""
    owing: set[str] = set()
    for path in _marked(brick):
        for name in set(names) - owing:
            if any(_mark(path, MARK + name)):
                owing.add(name)
    return frozenset(owing)


def _marked(brick: Path) -> Iterator[Path]:
    """The files that are in the brick's index of those that differ."""
    with suppress(FileNotFoundError), os.scandir(brick / ".glusterfs/indices/xattrop") as entries:
        for count, entry in enumerate(entries):
            if count >= MOST_FILES:
                return
            if GFID.fullmatch(entry.name):
                yield brick / ".glusterfs" / entry.name[:2] / entry.name[2:4] / entry.name


def _mark(path: Path, name: str) -> bytes:
    """A file's mark; of a folder, whose entry is a link to it, the folder's."""
    with suppress(OSError):
        return os.getxattr(path, name, follow_symlinks=path.is_dir())
    return b""
