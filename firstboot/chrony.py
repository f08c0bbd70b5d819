"""What chrony is told of the members: its files, kept by compare-and-act, and what it says of the clock."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from firstboot import paths, services
from firstboot.errors import TrivetError
from firstboot.files import write_atomic
from firstboot.run import run

UNIT = "chrony"
ASK_LIMIT_S = 30
TRACKING_FIELDS = 14
LOCAL = "7F7F0101"
"""Reference id of chronyd's own clock, when it serves that (chronyc(1), tracking)."""

LEADERS = 5
"""So many members, those of the lowest slots, can have the common time; the others only follow, so that not everybody
asks everybody. One of them is enough."""
KEY_ID = 1
KEY_BYTES = 16
STRATUM = 10
HEADER = "# Written by trivet-firstboot from the members; changes are lost.\n"
CONF, SOURCES, KEYS = "members.conf", "members.sources", "members.keys"
APPLIED = "applied"
"""What chronyd read last: a digest of the files that it reads at its start, and one of what it reads when told to."""


@dataclass(frozen=True)
class Tracking:
    """What chrony says of its source and of the system's clock; the offset is in seconds, without its sign."""

    source: str
    stratum: int
    offset_s: float
    leap: str
    reference: str = ""

    @property
    def synchronised(self) -> bool:
        return self.leap != "Not synchronised"

    @property
    def is_local(self) -> bool:
        """Whether it follows nobody, and serves its own clock to the members."""
        return self.reference == LOCAL


def tracking() -> Tracking:
    """Ask chronyd; raises TrivetError when it does not answer."""
    hint = "does chrony run? systemctl status chrony"
    return parse_tracking(run(["chronyc", "-n", "-c", "tracking"], timeout_s=ASK_LIMIT_S, hint=hint).stdout)


def parse_tracking(text: str) -> Tracking:
    """The one line of `chronyc -c tracking`: the fields of chronyc(1)'s report in its order, with commas."""
    fields = text.strip().split(",")
    try:
        if len(fields) != TRACKING_FIELDS:
            raise ValueError(f"{len(fields)} fields")
        return Tracking(fields[1] or fields[0], int(fields[2]), abs(float(fields[4])), fields[13], fields[0])
    except ValueError as error:
        raise TrivetError(f"chronyc printed what this version can't read: {error}") from None


def follows_server(found: Tracking, members: frozenset[str]) -> bool:
    """Whether that is a time server of the plan; `members` are the members' addresses. Pure."""
    return found.synchronised and not found.is_local and found.source not in members


def key_of(authority: ec.EllipticCurvePrivateKey, site_id: str) -> bytes:
    """The key by which members know each other's packets; it follows from the cluster authority, which they all hold.

    Who is no member any more lacks it, once the authority is changed for that. HKDF as in RFC 5869.
    """
    secret = authority.private_numbers().private_value.to_bytes(32, "big")
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=f"trivet ntp 1 {site_id}".encode()).derive(secret)


def files(addresses: Mapping[int, str], own_slot: int, key: bytes) -> dict[str, str]:
    """chrony.conf(5) files for the node of this slot, by name. `addresses` are the members', this node's too. Pure.

    The leaders serve the members and nobody else. Without a time server they agree on one of them by the directive
    `local … orphan`; a server always goes before that. AES128 is AES-CMAC, the MAC of RFC 8573.
    """
    others = [address for slot, address in sorted(addresses.items()) if slot != own_slot]
    leaders = sorted(addresses)[:LEADERS]
    asked = [addresses[slot] for slot in leaders if slot != own_slot]
    conf = [f"keyfile {paths.CHRONY_MEMBERS / KEYS}"]
    if own_slot in leaders:
        conf += [*(f"allow {address}" for address in others), f"local stratum {STRATUM} orphan"]
    options = f"key {KEY_ID} iburst minpoll 4 maxpoll 6"
    return {
        KEYS: f"{HEADER}{KEY_ID} AES128 HEX:{key.hex()}\n",
        CONF: HEADER + "".join(f"{line}\n" for line in conf),
        SOURCES: HEADER + "".join(f"server {address} {options}\n" for address in asked),
    }


def keep(wanted: Mapping[str, str], folder: Path = paths.CHRONY_MEMBERS) -> bool:
    """Bring chrony's files up to date and have it read them; whether anything was to be done."""
    read_at_start, read_again = _digest(wanted, CONF, KEYS), _digest(wanted, SOURCES)
    known = _read(folder / APPLIED).split()
    if known == [read_at_start, read_again]:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        if _read(folder / name) != text:
            write_atomic(folder / name, text, mode=0o600 if name == KEYS else 0o644)
    if known[:1] == [read_at_start]:
        run(["chronyc", "reload", "sources"], timeout_s=ASK_LIMIT_S)
    else:
        services.restart(UNIT)
    write_atomic(folder / APPLIED, f"{read_at_start} {read_again}\n")
    return True


def leave(folder: Path = paths.CHRONY_MEMBERS) -> None:
    """Serve no members any more, and ask none."""
    if (folder / APPLIED).exists():
        keep(dict.fromkeys((KEYS, CONF, SOURCES), HEADER), folder)


def _digest(wanted: Mapping[str, str], *names: str) -> str:
    return hashlib.sha256("\0".join(wanted[name] for name in names).encode()).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
