"""mDNS packets as zeroconf sends them, for tests."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from zeroconf import DNSOutgoing, ServiceInfo  # type: ignore[attr-defined]

from firstboot.cluster.announcement import Announcement
from firstboot.cluster.mdns import TYPE

ANSWER = 0x8400


def packet(said: Announcement, addresses: Sequence[str], *, ttl: int = 120, records: str = "pstA") -> bytes:
    """An announcement with these addresses: of pointer, service, text and addresses what `records` names."""
    packed = [socket.inet_pton(socket.AF_INET6 if ":" in a else socket.AF_INET, a) for a in addresses]
    info = ServiceInfo(
        TYPE,
        f"{said.instance}.{TYPE}",
        port=said.port,
        properties=said.txt(),
        server=f"trivet-{said.instance}.local.",
        addresses=packed,
    )
    parts = {"p": [info.dns_pointer()], "s": [info.dns_service()], "t": [info.dns_text()], "A": info.dns_addresses()}
    out = DNSOutgoing(ANSWER)
    for part in records:
        for record in parts[part]:
            record.ttl = ttl
            out.add_answer_at_time(record, 0)
    (data,) = out.packets()
    return bytes(data)
