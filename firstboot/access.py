"""Who may log in, and the host's name: root's SSH keys, console password hash, hostname, as the plan says."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from firstboot import paths
from firstboot.errors import TrivetError
from firstboot.files import write_atomic
from firstboot.plan import Access


def settle(access: Access, name: str) -> None:
    """Bring keys, password hash and hostname in line with the plan; what holds already is not written."""
    _write(paths.ROOT_KEYS, "".join(f"{key}\n" for key in access.ssh_keys), mode=0o644)
    if access.console_password_hash is not None:
        _set_hash(paths.SHADOW, access.console_password_hash)
    _write(paths.HOSTNAME, f"{name}\n", mode=0o644)
    if socket.gethostname() != name:
        socket.sethostname(name)


def with_hash(shadow: str, user: str, password_hash: str) -> str:
    """The shadow file's text with that user's hash; raises TrivetError when it has no such user. Pure."""
    lines = shadow.splitlines()
    for number, line in enumerate(lines):
        fields = line.split(":")
        if fields[0] == user and len(fields) > 1:
            fields[1] = password_hash
            lines[number] = ":".join(fields)
            return "\n".join(lines) + "\n"
    raise TrivetError(f"{paths.SHADOW} has no user {user}", hint="build the image again")


def _set_hash(path: Path, password_hash: str) -> None:
    before = path.read_text(encoding="utf-8")
    after = with_hash(before, "root", password_hash)
    if after != before:
        group = path.stat().st_gid
        write_atomic(path, after, mode=0o640)
        os.chown(path, -1, group)


def _write(path: Path, content: str, *, mode: int) -> None:
    if path.is_file() and path.read_text(encoding="utf-8", errors="replace") == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content, mode=mode)
