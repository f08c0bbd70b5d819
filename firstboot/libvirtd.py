"""The connection to this node's libvirtd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from firstboot.errors import TrivetError

URI = "qemu:///system"


@contextmanager
def connected(what: str) -> Iterator[libvirt.virConnect]:
    """A connection for the length of the block; libvirt's errors become TrivetError that names `what` it is about."""
    libvirt.registerErrorHandler(_silent, None)
    try:
        connection = libvirt.open(URI)
        try:
            yield connection
        finally:
            connection.close()
    except libvirt.libvirtError as error:
        raise TrivetError(f"{what}: {error}", hint="look at libvirt's log: journalctl -u libvirtd") from error


def _silent(_context: object, _error: object) -> None:
    """libvirt prints errors to standard error unless a handler takes them; they come as exceptions too."""
