"""Run in a machine on the nodes' network: forges mDNS, by its own address and made-up ones, well-formed and odd.

`python -m tests.netns.forger SITE SLOTS PACKETS_PER_S`, until it is killed; each second prints what it sent so far.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable

from firstboot.cluster.announcement import Announcement
from firstboot.cluster.mdns import QUESTION, RESPONSE
from tests.unit.firstboot.packets import packet

GROUP, PORT = "224.0.0.251", 5353
MAC_OF_GROUP = bytes.fromhex("01005e0000fb")
ETH_P_IP = 0x0800
TXT, IN = 16, 1
LONG_S = 2**31 - 1


class Forger:
    """Makes packets; `chance` decides what comes next."""

    def __init__(self, site_id: str, slots: int, chance: random.Random) -> None:
        self._site_id = site_id
        self._slots = slots
        self._chance = chance
        self._seen: list[str] = ["a" * 32]
        """Node ids that were made up; the true ones are as good, and every listener knows them."""
        self.counts: Counter[str] = Counter()
        plain: list[Callable[[], bytes]] = [self._service] * 12
        odd = [
            self._goodbye,
            self._renamed,
            self._long_lived,
            self._pointer,
            self._question,
            self._bomb,
            self._rubbish,
        ]
        self._kinds = [*plain, *odd]

    def packet(self) -> bytes:
        kind = self._chance.choice(self._kinds)
        self.counts[kind.__name__.strip("_")] += 1
        return kind()

    def address(self) -> str:
        """Nobody's, on the nodes' own subnet: whoever goes there waits in vain."""
        return f"10.91.7.{self._chance.randrange(100, 250)}"

    def _said(self, node_id: str | None = None, *, ttl: int = 120, records: str = "pstA") -> bytes:
        node_id = node_id or f"{self._chance.getrandbits(128):032x}"
        self._seen = [*self._seen[-200:], node_id]
        slot = self._chance.randrange(1, self._slots + 1)
        said = Announcement(self._site_id, slot, node_id, "admit", 7463, "x" * 160)
        local = f"fe80::{self._chance.getrandbits(16):x}:{self._chance.getrandbits(16):x}"
        return packet(said, (self.address(), self.address(), local), ttl=ttl, records=records)

    def _service(self) -> bytes:
        return self._said()

    def _goodbye(self) -> bytes:
        return self._said(self._chance.choice(self._seen), ttl=0)

    def _renamed(self) -> bytes:
        """Another machine's name, with other addresses."""
        return self._said(self._chance.choice(self._seen))

    def _long_lived(self) -> bytes:
        return self._said(ttl=LONG_S)

    def _pointer(self) -> bytes:
        """A service of which everything else has to be asked for."""
        return self._said(records="p")

    def _question(self) -> bytes:
        """With answers that the asker pretends to know."""
        return QUESTION[:6] + struct.pack("!H", 1) + QUESTION[8:] + self._said(records="p")[12:]

    def _bomb(self) -> bytes:
        """One long name, used by as many records as there may be."""
        mark = b"site=" + self._site_id.encode()
        text = bytes([len(mark)]) + mark
        name, record = b"\x01a" * 120 + b"\0", struct.pack("!2HIH", TXT, IN, LONG_S, len(text)) + text
        header = struct.pack("!6H", 0, RESPONSE << 8, 0, 20, 0, 0)
        return header + name + record + (b"\xc0\x0c" + record) * 19

    def _rubbish(self) -> bytes:
        return self._chance.randbytes(self._chance.randrange(1, 1300)) + b"site=" + self._site_id.encode()


def frame(mac: bytes, source: str, data: bytes) -> bytes:
    """An Ethernet frame with an IPv4 packet to mDNS's group, from whatever address."""
    udp = struct.pack("!4H", PORT, PORT, 8 + len(data), 0) + data
    header = struct.pack(
        "!2B3H2BH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 255, 17, 0, socket.inet_aton(source), socket.inet_aton(GROUP)
    )
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return MAC_OF_GROUP + mac + struct.pack("!H", ETH_P_IP) + header + udp


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def main(site_id: str, slots: int, packets_per_s: int) -> None:
    chance = random.Random(1)
    forger = Forger(site_id, slots, chance)
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("eth0", ETH_P_IP))
    mac = raw.getsockname()[4]
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    own.bind(("", PORT))
    huge = b"site=" + site_id.encode()
    began_s, sent, told_s = time.monotonic(), 0, 0.0
    while True:
        now_s = time.monotonic()
        while sent < (now_s - began_s) * packets_per_s:
            data = forger.packet()
            if sent % 2:
                own.sendto(data, (GROUP, PORT))
                if sent % 501 == 1:  # larger than any frame: it arrives in fragments
                    own.sendto(chance.randbytes(20_000) + huge, (GROUP, PORT))
                    forger.counts["huge"] += 1
            else:
                raw.send(frame(mac, forger.address(), data))
            sent += 1
        if now_s - told_s >= 1.0:
            print(json.dumps({"seconds": round(now_s - began_s, 1), "sent": sent, **forger.counts}), flush=True)
            told_s = now_s
        time.sleep(0.005)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
