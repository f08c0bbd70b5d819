"""Keys of layers: the hash of everything that a layer is made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache"}


def tree_digest(folder: Path) -> str:
    """SHA-256 over names, kinds, executable bits and contents below a folder, in a fixed order."""
    digest = hashlib.sha256()
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            _feed(digest, "link", name, str(path.readlink()).encode())
        else:
            mode = "x" if path.stat().st_mode & 0o100 else "-"
            _feed(digest, f"file{mode}", name, path.read_bytes())
    return digest.hexdigest()


def key(**inputs: object) -> str:
    """The key of named inputs: 64 hexadecimal digits. Inputs are anything that JSON can hold."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _files(folder: Path) -> Iterable[Path]:
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if entry.name in IGNORED:
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        else:
            yield entry


def _feed(digest: hashlib._Hash, kind: str, name: str, data: bytes) -> None:
    # Lengths keep two different trees from feeding the same bytes.
    digest.update(f"{kind} {len(name)} {name} {len(data)}\n".encode())
    digest.update(data)
