"""What must be different on every machine, and which members have the same: copied disks are found by it."""

from __future__ import annotations

import hashlib
import re
import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from firstboot import paths
from firstboot.network.facts import Link
from firstboot.seed import Id

MAX_MACS = 16
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
NO_UUIDS = frozenset({"03000200-0400-0500-0006-000700080009"})
"""UUIDs that makers of boards leave in, as they leave in those of one digit only: they say nothing of the machine."""

GLUSTERD, MACHINE_ID, PRODUCT, HOST_NAME = "glusterd UUID", "machine-id", "SMBIOS UUID", "host name"
MARKS = {GLUSTERD: "glusterd", MACHINE_ID: "machine_id", PRODUCT: "product", HOST_NAME: "host_name"}


class Facts(BaseModel):
    """One machine's marks. Hashes tell whether two are the same, and nothing else: machine-id(5) is confidential."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host_name: str | None = Field(default=None, max_length=64)
    machine_id: Id | None = None
    product: Id | None = None
    """Of the SMBIOS system UUID; none where the machine has no true one."""
    macs: tuple[Id, ...] = Field(default=(), max_length=MAX_MACS)
    """Of the wired network cards' own addresses."""
    glusterd: str | None = Field(default=None, pattern=f"^{UUID}$")
    pooled: bool = False
    """It was in the trusted storage pool: what it is known by there can't be changed any more."""

    def same_machine(self, other: Facts) -> bool | None:
        """Whether both are of one piece of hardware; none where that can't be told."""
        mine, theirs = self._hardware, other._hardware
        return bool(mine & theirs) if mine and theirs else None

    @property
    def _hardware(self) -> frozenset[str]:
        return frozenset(self.macs) | ({self.product} if self.product else set())


@dataclass(frozen=True)
class Duplicate:
    """A mark that several members have, by slot, the lowest first."""

    mark: str
    slots: tuple[int, ...]
    value: str


def read_facts(site_id: str, links: Iterable[Link], *, pooled: bool, root: Path = Path("/")) -> Facts:
    """This machine's marks as they are now."""
    product = _line(root / "sys/class/dmi/id/product_uuid").lower()
    machine_id = _line(root / "etc/machine-id")
    macs = sorted({link.permanent_mac or link.mac for link in links if link.wired} - {""})
    return Facts(
        host_name=socket.gethostname()[:64],
        machine_id=_hash(site_id, machine_id) if machine_id else None,
        product=_hash(site_id, product) if _is_true(product) else None,
        macs=tuple(_hash(site_id, mac) for mac in macs[:MAX_MACS]),
        glusterd=glusterd_uuid(root / paths.GLUSTERD_INFO.relative_to("/")),
        pooled=pooled,
    )


def glusterd_uuid(info: Path = paths.GLUSTERD_INFO) -> str | None:
    """The UUID by which a pool knows this node; none before glusterd first started."""
    found = re.search(rf"^UUID=({UUID})$", _text(info).lower(), re.MULTILINE | re.IGNORECASE)
    return found[1] if found else None


def duplicates(facts: Mapping[int, Facts]) -> tuple[Duplicate, ...]:
    """The marks that members share, by their slots. Pure."""
    found = []
    for mark, field in MARKS.items():
        holders: dict[str, list[int]] = defaultdict(list)
        for slot, known in sorted(facts.items()):
            value = getattr(known, field)
            if value is not None:
                holders[value].append(slot)
        found += [Duplicate(mark, tuple(slots), value) for value, slots in holders.items() if len(slots) > 1]
    return tuple(found)


def gives_way(slot: int, duplicate: Duplicate, facts: Mapping[int, Facts]) -> bool:
    """Whether this slot's node has to change the mark; one that is in the pool never has. Pure.

    Who is in the pool keeps it; if nobody is, the lowest slot.
    """
    pooled = [other for other in duplicate.slots if facts[other].pooled]
    return slot in duplicate.slots and not facts[slot].pooled and slot != min(pooled or duplicate.slots)


def sentence(duplicate: Duplicate, names: Mapping[int, str]) -> str:
    """`node2 and node3 have the same glusterd UUID …`."""
    *first, last = (names[slot] for slot in duplicate.slots)
    told = f" {duplicate.value}" if duplicate.mark in (GLUSTERD, HOST_NAME) else ""
    return f"{', '.join(first)} and {last} have the same {duplicate.mark}{told}"


HINTS = {
    GLUSTERD: "one of their disks is a copy: wipe the state of the machine that came later",
    MACHINE_ID: "one of their disks is a copy: rm /var/lib/trivet/etc/machine-id on the later one, and reboot it",
    PRODUCT: "their firmware was not told apart by its maker; nothing here depends on it, but other software may",
    HOST_NAME: "the agent sets it to the slot's name; what sets it to something else on one of them?",
}


def _is_true(uuid: str) -> bool:
    return bool(re.fullmatch(UUID, uuid)) and uuid not in NO_UUIDS and len(set(uuid) - {"-"}) > 1


def _hash(site_id: str, value: str) -> str:
    return hashlib.sha256(f"trivet mark {site_id} {value}".encode()).hexdigest()[:32]


def _line(path: Path) -> str:
    return _text(path).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
