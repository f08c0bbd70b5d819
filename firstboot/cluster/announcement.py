"""What a node says of itself by mDNS: written, and read from strangers within bounds. A hint, never more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

TXT_MAJOR = "1"
MAX_TXT_BYTES = 512
MAX_WHY = 160
TXT_KEYS = ("v", "site", "slot", "node", "phase", "why")

HEX_ID = re.compile(r"[0-9a-f]{32}")
SLOT = re.compile(r"[1-9][0-9]{0,2}")
WORD = re.compile(r"[a-z-]{1,32}")
UNPRINTABLE = re.compile(r"[^ -~]")


@dataclass(frozen=True)
class Announcement:
    """Public: whoever is on this network reads it. `why` is the reason for waiting, in the words of the status."""

    site_id: str
    slot: int
    node_id: str
    phase: str
    port: int
    why: str = ""

    @property
    def instance(self) -> str:
        """A hash of a key: nobody needs to be asked whether the name is free."""
        return self.node_id[:12]

    def txt(self) -> dict[str, str]:
        said = {
            "v": TXT_MAJOR,
            "site": self.site_id,
            "slot": str(self.slot),
            "node": self.node_id,
            "phase": self.phase,
        }
        return {**said, "why": shown(self.why)} if self.why else said


@dataclass(frozen=True)
class Heard:
    """An announcement, and the addresses that it states; IPv6 link-local with %scope."""

    announcement: Announcement
    addresses: tuple[str, ...]


def read_txt(properties: Mapping[bytes, bytes | None], *, site_id: str, port: int) -> Announcement | None:
    """The announcement of a node of this site; None for anything else."""
    if sum(len(key) + len(value or b"") for key, value in properties.items()) > MAX_TXT_BYTES:
        return None
    text = {key: (properties.get(key.encode()) or b"").decode("ascii", "replace") for key in TXT_KEYS}
    if text["v"] != TXT_MAJOR or text["site"] != site_id or not 0 < port < 65536:
        return None
    if not HEX_ID.fullmatch(text["node"]) or not SLOT.fullmatch(text["slot"]) or not WORD.fullmatch(text["phase"]):
        return None
    return Announcement(site_id, int(text["slot"]), text["node"], text["phase"], port, shown(text["why"]))


def shown(text: str) -> str:
    """Text that is safe on a terminal and in a TXT record: printable ASCII in one line, cut to its bound."""
    plain = UNPRINTABLE.sub("?", " ".join(text.split()))
    return plain if len(plain) <= MAX_WHY else f"{plain[: MAX_WHY - 3]}..."


def usable(address: str) -> bool:
    """Whether it can be a member's address: unicast, not ours by definition; link-local IPv6 needs its scope."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if parsed.is_loopback or parsed.is_multicast or parsed.is_unspecified:
        return False
    return not (parsed.version == 6 and parsed.is_link_local and "%" not in address)
