"""Files that are never half-written: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".trivet-new"
"""How the names end of what is not finished."""


def write_atomic(path: Path, data: str | bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `data` so that a crash leaves the old or the new content, never a part.

    A symbolic link is followed, so that links into state keep standing.
    """
    target = path.resolve() if path.is_symlink() else path
    raw = data.encode() if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folders: Iterable[Path]) -> list[Path]:
    """Remove what writes that were cut off have left in these folders. Only while nobody else writes there.

    What is there afterwards is durable: a process may have died between a rename and its fsync.
    """
    places = sorted({folder.resolve() for folder in folders if folder.is_dir()})
    left = [path for place in places for path in sorted(place.glob(f".*{TEMPORARY}"))]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for place in places:
        sync_folder(place)
    return left
