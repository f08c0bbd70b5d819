"""Asks by ARP who else has an address of ours: the probes of RFC 5227, received and sent on a packet socket."""

from __future__ import annotations

import socket
import struct
import time
from ipaddress import IPv4Address

from firstboot.errors import TrivetError

ETHERTYPE = 0x0806
PROBES = 3
"""PROBE_NUM of RFC 5227."""
PAUSE_S = 1.0
"""PROBE_MIN of RFC 5227."""
HEAD = struct.pack("!HHBB", 1, 0x0800, 6, 4)
"""Ethernet and IPv4, with the lengths of their addresses."""


def claimants(interface: str, mac: str, address: IPv4Address) -> frozenset[str]:
    """The MAC addresses of those that use the address on the interface's network; lasts three seconds."""
    heard: set[str] = set()
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as gate:
            gate.bind((interface, ETHERTYPE))
            for _ in range(PROBES):
                gate.send(probe(mac, address))
                until = time.monotonic() + PAUSE_S
                while (left := until - time.monotonic()) > 0:
                    gate.settimeout(left)
                    try:
                        user = user_of(gate.recv(128), address)
                    except TimeoutError:
                        break
                    heard |= {user} if user is not None else set()
    except OSError as error:
        raise TrivetError(f"ARP can't be spoken on {interface}: {error.strerror}") from error
    return frozenset(heard - {mac})


def probe(mac: str, address: IPv4Address) -> bytes:
    """A request for the address that claims nothing: its sender's address is 0.0.0.0. Pure."""
    own = _packed(mac)
    head = b"\xff" * 6 + own + struct.pack("!H", ETHERTYPE) + HEAD + struct.pack("!H", 1)
    return head + own + bytes(4) + bytes(6) + address.packed


def user_of(frame: bytes, address: IPv4Address) -> str | None:
    """The MAC address of an ARP frame's sender if it says that it has the address. Pure."""
    if len(frame) < 42 or frame[12:14] != struct.pack("!H", ETHERTYPE) or frame[14:20] != HEAD:
        return None
    return ":".join(f"{byte:02x}" for byte in frame[22:28]) if frame[28:32] == address.packed else None


def _packed(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
