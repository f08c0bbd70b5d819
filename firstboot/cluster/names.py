"""Stable names: every member's name in a marked block of /etc/hosts, kept to where it last proved itself.

That is the storage network, where the site has one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from firstboot import paths
from firstboot.context import Member
from firstboot.errors import RefusedError
from firstboot.files import write_atomic

log = logging.getLogger(__name__)

BEGIN = "# begin trivet: kept by trivet-firstboot, changes in this block are lost"
END = "# end trivet"


def host_name(slot_name: str, site_name: str) -> str:
    """The name that peers, bricks and mounts use for a slot, whatever machine and address it has."""
    return f"{slot_name}.{site_name}.trivet.internal"


def merge(hosts: str, members: Iterable[Member]) -> str:
    """The hosts file's text with the block replaced or appended; everything else stays as it is."""
    block = [BEGIN]
    block += [f"{m.data_address}\t{m.host_name} {m.name}" for m in sorted(members, key=lambda m: m.slot)]
    block.append(END)
    kept = _outside(hosts.splitlines())
    return "\n".join([*kept, *block]) + "\n"


def keep(members: Iterable[Member], path: Path = paths.HOSTS) -> bool:
    """Bring the file up to date; whether it changed."""
    try:
        before = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        before = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
    after = merge(before, members)
    if after == before:
        return False
    write_atomic(path, after.encode("utf-8", errors="surrogateescape"))
    log.info("names of the members changed in %s", path)
    return True


def _outside(lines: list[str]) -> list[str]:
    if lines.count(BEGIN) != lines.count(END) or lines.count(BEGIN) > 1:
        raise RefusedError(
            f"the block of Trivet in {paths.HOSTS} was damaged: its begin and end lines don't pair",
            hint=f"remove the lines of the block from {paths.HOSTS}; it is written again",
        )
    if BEGIN not in lines:
        return lines
    return lines[: lines.index(BEGIN)] + lines[lines.index(END) + 1 :]
