"""Layers kept by the hash of their inputs: whole or not there, for builds at once and after killed ones."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from firstboot.files import sync_folder, write_atomic
from firstboot.model import Model

log = logging.getLogger(__name__)

ENTRY = "entry.json"
KEPT_PER_KIND = 4
CHUNK = 4 * 1024 * 1024


class StoredFile(Model):
    """A file of an entry: its size, and the BLAKE2b hash of its data and where that lies (holes left out)."""

    size_bytes: int
    digest: str


class Entry(Model):
    """What an entry says of itself; written last, so an entry with it is whole."""

    format: Literal["trivet-layer"] = "trivet-layer"
    version: str = "1.0"
    kind: str
    key: str
    files: dict[str, StoredFile]


class Cache:
    """A folder of layers, with the work folders and logs of builds beside them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layers = root / "layers"
        self.logs = root / "logs"
        self._work = root / "work"
        self._locks = root / "locks"
        for folder in (self.layers, self.logs, self._work, self._locks):
            folder.mkdir(parents=True, exist_ok=True)

    def obtain(self, kind: str, key: str, make: Callable[[Path, Path], None], waited: Callable[[], None]) -> Path:
        """A layer's folder: the one that is kept and sound, or what `make(work, made)` puts into the folder `made`.

        One build at a time makes a layer; the others wait for it, and `waited` is called in them.
        """
        with self.lock(kind, key) as had_to_wait:
            if had_to_wait:
                waited()
            found = self.find(kind, key)
            if found is not None and self.is_sound(found):
                return found
            with self.work() as work:
                made = work / "made"
                made.mkdir()
                make(work, made)
                return self.store(kind, key, made)

    def find(self, kind: str, key: str) -> Path | None:
        """The folder of a layer whose files have their recorded sizes; none when it is not there or damaged."""
        folder = self._folder(kind, key)
        entry = _read(folder)
        if entry is None or entry.kind != kind or entry.key != key:
            return None
        for name, stored in entry.files.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != stored.size_bytes:
                log.warning("cached layer %s is damaged: %s", folder.name, name)
                return None
        os.utime(folder)
        return folder

    def is_sound(self, folder: Path) -> bool:
        """Read all files of a found layer and compare their hashes."""
        entry = _read(folder)
        return entry is not None and all(
            digest(folder / name) == stored.digest for name, stored in entry.files.items()
        )

    def store(self, kind: str, key: str, made: Path) -> Path:
        """Take in the finished folder `made` (from `work`) as a layer, replacing a damaged one of the same key.

        Data is not forced to the disk: what a power cut damages does not match its hash.
        """
        files = {
            path.name: StoredFile(size_bytes=path.stat().st_size, digest=digest(path)) for path in made.iterdir()
        }
        entry = Entry(kind=kind, key=key, files=files)
        write_atomic(made / ENTRY, entry.model_dump_json(indent=1) + "\n")
        folder = self._folder(kind, key)
        self.drop(kind, key)
        made.rename(folder)
        sync_folder(self.layers)
        self._prune(kind, keep=folder)
        return folder

    def drop(self, kind: str, key: str) -> None:
        """Forget a layer."""
        folder = self._folder(kind, key)
        if folder.is_dir():
            # Without its entry it is no layer any more, however far the removal gets.
            (folder / ENTRY).unlink(missing_ok=True)
            shutil.rmtree(folder)

    @contextmanager
    def lock(self, kind: str, key: str) -> Iterator[bool]:
        """Hold the right to make a layer. Waits for another build that makes it; yields whether it had to."""
        with (self._locks / f"{kind}-{key[:32]}").open("w") as file:
            waited = False
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = True
                fcntl.flock(file, fcntl.LOCK_EX)
            yield waited

    @contextmanager
    def work(self) -> Iterator[Path]:
        """A work folder, removed at the end. Those of builds that were killed are removed first."""
        with (self._locks / "work").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            self._sweep()
            folder = Path(tempfile.mkdtemp(dir=self._work, prefix="build."))
            owner = (self._work / f"{folder.name}.lock").open("w")
            fcntl.flock(owner, fcntl.LOCK_EX)
        try:
            with owner:
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                (self._work / f"{folder.name}.lock").unlink(missing_ok=True)

    def _sweep(self) -> None:
        for folder in self._work.glob("build.*[!k]"):
            if folder.is_dir() and _abandoned(self._work / f"{folder.name}.lock"):
                log.info("removing what a killed build left: %s", folder)
                shutil.rmtree(folder, ignore_errors=True)
                (self._work / f"{folder.name}.lock").unlink(missing_ok=True)

    def _prune(self, kind: str, *, keep: Path) -> None:
        found = [path for path in self.layers.glob(f"{kind}-*") if path != keep]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[KEPT_PER_KIND - 1 :]:
            shutil.rmtree(path, ignore_errors=True)

    def _folder(self, kind: str, key: str) -> Path:
        return self.layers / f"{kind}-{key[:32]}"


def digest(path: Path) -> str:
    """BLAKE2b over a file's data and their places; holes of sparse files are not read."""
    total = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for start, end in data_ranges(file.fileno(), size):
            total.update(f"{start} {end}\n".encode())
            file.seek(start)
            left = end - start
            while left > 0:
                block = file.read(min(CHUNK, left))
                if not block:
                    break
                total.update(block)
                left -= len(block)
    return total.hexdigest()


def data_ranges(handle: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Where a sparse file has data: lseek(2), SEEK_DATA and SEEK_HOLE."""
    position = 0
    while position < size_bytes:
        try:
            start = os.lseek(handle, position, os.SEEK_DATA)
        except OSError:
            return
        position = os.lseek(handle, start, os.SEEK_HOLE)
        yield start, position


def _read(folder: Path) -> Entry | None:
    try:
        return Entry.model_validate_json((folder / ENTRY).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def _abandoned(lock: Path) -> bool:
    try:
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True
