"""A new identity for an installation that was copied: its machine-id and its SSH host key."""

from __future__ import annotations

import logging
from pathlib import Path
from uuid import uuid4

from firstboot import paths, services
from firstboot.files import sync_folder, write_atomic

log = logging.getLogger(__name__)

READERS = ("systemd-journald", "ssh", "libvirtd")
"""Units that have read what is made anew. ssh has its key made at its start; libvirt shows the machine-id."""


def renew(machine_id: Path = paths.MACHINE_ID, ssh_folder: Path = paths.SSH_HOST_KEYS) -> None:
    """Make them anew. Only for a machine that no guest and no pool knows yet: both names are kept by others.

    The new machine-id is written last: as long as it is the old one, a crash has all of this done again.
    """
    keys = sorted(ssh_folder.glob("ssh_host_*"))
    for path in keys:
        path.unlink()
    if keys:
        sync_folder(ssh_folder)
    made = uuid4().hex  # machine-id(5): a random UUID, version 4, without dashes
    write_atomic(machine_id, f"{made}\n", mode=0o444)
    log.warning("this machine has a new machine-id and a new SSH host key: its disk was a copy of another member's")
    for unit in READERS:
        if services.is_active(unit):
            services.restart(unit)
