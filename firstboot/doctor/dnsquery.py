"""The few bytes of DNS that the doctor sends and understands (RFC 1035, section 4). Pure."""

from __future__ import annotations

import struct

A, NS = 1, 2
RECURSION_DESIRED = 0x0100
IS_ANSWER = 0x8000
HEADER_BYTES = 12


def query(ident: int, name: str, kind: int, *, flags: int = 0) -> bytes:
    """A question for one name; the empty name is the root."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split(".") if label)
    return struct.pack("!6H", ident, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def answer_code(packet: bytes, ident: int) -> int | None:
    """The response code (0: no error, 2: server failure) of an answer to that question; None for any other packet."""
    if len(packet) < HEADER_BYTES:
        return None
    its, flags = struct.unpack("!2H", packet[:4])
    return int(flags & 0xF) if its == ident and flags & IS_ANSWER else None
