"""zeroconf, fenced in: it announces and answers, strangers' packets are read in passing. Its only importer.

zeroconf remembers every record that anybody sends. So a gate stands before its sockets: of what comes in, zeroconf
itself gets one fixed question a second at most; announcements of the own site are read by its parser, and not kept.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Protocol, cast

from zeroconf import (  # type: ignore[attr-defined]  # of the DNS* it says nothing to type checkers
    DNSAddress,
    DNSIncoming,
    DNSOutgoing,
    DNSQuestion,
    DNSService,
    DNSText,
    Error,
    InterfaceChoice,
    IPVersion,
    ServiceInfo,
    Zeroconf,
)

from firstboot.cluster.announcement import Announcement, Heard, read_txt
from firstboot.errors import TrivetError

TYPE = "_trivet._tcp.local."
PORT = 5353
MAX_PACKET_BYTES = 1472
"""What an Ethernet frame holds. An announcement is half of that."""
MAX_RECORDS = 64
MAX_SERVICES = 8
MAX_ADDRESSES = 6
TAKEN_PER_S = 2000
"""Packets of any kind; what comes faster is left to the kernel, which drops it."""
READ_PER_S, READ_PER_SENDER = 800, 40
"""Announcements of the site: a site of 300 makes 600 at once when somebody asks."""
MIN_GAP_S = 1.0
"""RFC 6762, section 6: nothing is multicast twice within a second."""
LIMIT_S = 10.0

PTR, IN = 12, 1
ASKED = b"\x07_trivet\x04_tcp\x05local\x00" + struct.pack("!H", PTR)
QUESTION = struct.pack("!6H", 0, 0, 1, 0, 0, 0) + ASKED + struct.pack("!H", IN)
RESPONSE = 0x80

Hear = Callable[[Heard], None]
Sender = tuple[str, int] | tuple[str, int, int, int]


class Receiver(Protocol):
    """zeroconf's listener of a socket."""

    def datagram_received(self, data: bytes, addr: Sender) -> None: ...
    def error_received(self, exc: Exception) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...


class Budget:
    """How many packets are taken in a second, and how many announcements read: of all, and of one sender."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._began_s = clock()
        self._senders: Counter[str] = Counter()
        self._taken = self._read = 0
        self.refused = 0
        """How many were too many, since the beginning."""

    def take(self) -> None:
        """A packet came; when there were too many, the thread of all sockets rests until the second is over."""
        left_s = self._began_s + 1.0 - self._clock()
        if self._taken >= TAKEN_PER_S and left_s > 0:
            self._sleep(left_s)
            left_s = 0.0
        if left_s <= 0:
            self._began_s, self._senders, self._taken, self._read = self._clock(), Counter(), 0, 0
        self._taken += 1

    def read(self, sender: str) -> bool:
        """Whether this one may still be read."""
        if self._read >= READ_PER_S or self._senders[sender] >= READ_PER_SENDER:
            self.refused += 1
            return False
        self._read += 1
        self._senders[sender] += 1
        return True


class Gate(asyncio.DatagramProtocol):
    """Stands before zeroconf's listener of one socket."""

    def __init__(self, inner: Receiver, site_id: str, hear: Hear, budget: Budget, clock: Callable[[], float]) -> None:
        self._inner = inner
        self._site_id = site_id
        self._mark = b"site=" + site_id.encode()
        self._hear = hear
        self._budget = budget
        self._clock = clock
        self._asked_s = float("-inf")

    def datagram_received(self, data: bytes, addr: Sender) -> None:
        self._budget.take()
        if not 12 <= len(data) <= MAX_PACKET_BYTES or addr[1] != PORT:
            return
        if not data[2] & RESPONSE:
            # What else it asks or pretends to know is nothing to zeroconf.
            if ASKED in data and self._clock() - self._asked_s >= MIN_GAP_S:
                self._asked_s = self._clock()
                self._inner.datagram_received(QUESTION, addr)
            return
        if self._mark in data and self._budget.read(addr[0]):
            scope = addr[3] if len(addr) == 4 else 0
            for heard in read(data, site_id=self._site_id, scope=scope):
                self._hear(heard)

    def error_received(self, exc: Exception) -> None:
        self._inner.error_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)


def read(data: bytes, *, site_id: str, scope: int) -> list[Heard]:
    """The announcements of the site in a packet that came in by the interface of that index (0: IPv4)."""
    if sum(struct.unpack_from("!4H", data, 4)) > MAX_RECORDS:
        return []
    message = DNSIncoming(data, scope_id=scope or None)
    records = [record for record in message.answers() if record.ttl > 0]  # a goodbye proves nothing
    texts = [record for record in records if isinstance(record, DNSText) and record.name.endswith(TYPE)]
    services = {record.name: record for record in records if isinstance(record, DNSService)}
    found = []
    for text in texts[:MAX_SERVICES]:
        service = services.get(text.name)
        announcement = service and read_txt(_pairs(text), site_id=site_id, port=service.port)
        if announcement:
            stated = [r for r in records if isinstance(r, DNSAddress) and service and r.name == service.server]
            found.append(Heard(announcement, tuple(dict.fromkeys(map(_address, stated)))[:MAX_ADDRESSES]))
    return found


class Mdns:
    """zeroconf behind its gate, on these addresses of the machine (without scope), or on all of its interfaces."""

    def __init__(self, addresses: Sequence[str] | None, site_id: str, hear: Hear) -> None:
        """Raises TrivetError where multicast can't be used on them."""
        self.budget = Budget(time.monotonic, time.sleep)
        interfaces = InterfaceChoice.All if addresses is None else list(addresses)
        try:
            self._zeroconf = Zeroconf(interfaces=interfaces, ip_version=IPVersion.All)
            self._do(self._shut(site_id, hear))
        except (Error, OSError, RuntimeError, TimeoutError) as error:
            where = "any interface" if addresses is None else ", ".join(addresses)
            raise TrivetError(f"multicast can't be used on {where}: {error or repr(error)}") from error
        self._addresses = tuple(addresses or ())
        self._info: ServiceInfo | None = None

    def _do(self, change: Coroutine[None, None, object]) -> None:
        """In zeroconf's own loop."""
        assert self._zeroconf.loop is not None, "it has one where none runs"
        asyncio.run_coroutine_threadsafe(change, self._zeroconf.loop).result(LIMIT_S)

    async def _shut(self, site_id: str, hear: Hear) -> None:
        await self._zeroconf.async_wait_for_start()
        for reader in self._zeroconf.engine.readers:
            inner = cast("Receiver", reader.transport.get_protocol())
            reader.transport.set_protocol(Gate(inner, site_id, hear, self.budget, time.monotonic))

    def announce(self, announcement: Announcement) -> None:
        """Say this from now on; the packets, three within half a second, are not waited for. Raises TrivetError."""
        info = ServiceInfo(
            TYPE,
            f"{announcement.instance}.{TYPE}",
            port=announcement.port,
            properties=announcement.txt(),
            server=f"trivet-{announcement.instance}.local.",
            addresses=[_packed(address) for address in self._addresses],
        )
        try:
            if self._info is None:
                # Names are hashes of keys: probing for a conflict would only delay.
                self._do(self._zeroconf.async_register_service(info, cooperating_responders=True))
            else:
                self._do(self._zeroconf.async_update_service(info))
        except (Error, OSError, TimeoutError) as error:
            raise TrivetError(f"this node can't be announced by mDNS: {error!r}") from error
        self._info = info

    def ask(self) -> None:
        """Ask who is there."""
        out = DNSOutgoing(0)
        out.add_question(DNSQuestion(TYPE, PTR, IN))
        with suppress(Error, OSError, RuntimeError):
            self._zeroconf.send(out)

    def close(self) -> None:
        """Say goodbye and stop."""
        with suppress(Exception):  # sockets of addresses that are gone
            self._zeroconf.close()


def _pairs(text: DNSText) -> dict[bytes, bytes | None]:
    """The pairs of a TXT record (RFC 6763, section 6.4); of two with one key the first counts."""
    pairs: dict[bytes, bytes | None] = {}
    at = 0
    while at < len(text.text):
        end = at + 1 + text.text[at]
        key, has_value, value = text.text[at + 1 : end].partition(b"=")
        pairs.setdefault(key, value if has_value else None)
        at = end
    return pairs


def _address(record: DNSAddress) -> str:
    family = socket.AF_INET6 if len(record.address) == 16 else socket.AF_INET
    try:
        address = socket.inet_ntop(family, record.address)
    except ValueError:
        return ""
    return f"{address}%{record.scope_id}" if record.scope_id and address.startswith("fe80:") else address


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
