"""mDNS: announces this node, and turns what others announce into bounded hints. The only importer of zeroconf."""

from __future__ import annotations

import asyncio
import logging
import queue
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from zeroconf import Error, IPVersion, ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

from firstboot.cluster.hints import TXT_MAJOR, Hints, read_txt
from firstboot.errors import TrivetError

log = logging.getLogger(__name__)

TYPE = "_trivet._tcp.local."
MAX_PENDING = 128
RESOLVE_MS = 3000
CHANGE_LIMIT_S = 10.0
MAX_CACHE = 4096
"""Names that zeroconf may remember; beyond that it is started anew, because its cache has no bound of its own."""


@dataclass(frozen=True)
class Announcement:
    """What this node says of itself: public, and a hint to others at most."""

    site_id: str
    slot: int
    node_id: str
    phase: str
    port: int

    def txt(self) -> dict[str, str]:
        return {
            "v": TXT_MAJOR,
            "site": self.site_id,
            "slot": str(self.slot),
            "node": self.node_id,
            "phase": self.phase,
        }


class Discovery(ServiceListener):
    """Announces and browses on the given addresses; `follow` moves it when they change. `found` is called on news."""

    def __init__(self, hints: Hints, found: Callable[[], None]) -> None:
        self._hints = hints
        self._found = found
        self._pending: queue.Queue[str | None] = queue.Queue(MAX_PENDING)
        self._lock = threading.RLock()
        self._zeroconf: Zeroconf | None = None
        self._announcement: Announcement | None = None
        self._info: ServiceInfo | None = None
        self._addresses: tuple[str, ...] = ()
        threading.Thread(target=self._resolve_all, name="discovery", daemon=True).start()

    def follow(self, announcement: Announcement, addresses: Sequence[str]) -> None:
        """Announce this on these addresses of the node (without scope); restarts only on change of addresses."""
        with self._lock:
            zeroconf = self._zeroconf
            if zeroconf is not None and len(zeroconf.cache.cache) > MAX_CACHE:
                log.warning("the mDNS cache has more than %d names: it is started anew", MAX_CACHE)
                self._stop()
            if tuple(addresses) != self._addresses or self._zeroconf is None:
                self._stop()
                self._start(announcement, tuple(addresses))
            elif announcement != self._announcement:
                self._announce(announcement)

    def close(self) -> None:
        """Say goodbye and stop."""
        with self._lock:
            self._stop()
        with suppress(queue.Full):
            self._pending.put_nowait(None)

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        with suppress(queue.Full):  # a flood loses the newest; mDNS repeats itself
            self._pending.put_nowait(name)

    update_service = add_service

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """A goodbye proves nothing: hints age by themselves."""

    def _start(self, announcement: Announcement, addresses: tuple[str, ...]) -> None:
        try:
            self._zeroconf = Zeroconf(interfaces=list(addresses), ip_version=IPVersion.All)
        except (OSError, RuntimeError) as error:
            raise TrivetError(
                f"multicast can't be used on {', '.join(addresses)}: {error}",
                hint="the agent tries again; members named in the seed are found without multicast",
            ) from error
        self._addresses = addresses
        self._announce(announcement)
        ServiceBrowser(self._zeroconf, TYPE, self)

    def _announce(self, announcement: Announcement) -> None:
        assert self._zeroconf is not None
        info = ServiceInfo(
            TYPE,
            f"{announcement.node_id[:12]}.{TYPE}",
            port=announcement.port,
            properties=announcement.txt(),
            server=f"trivet-{announcement.node_id[:12]}.local.",
            addresses=[_packed(address) for address in self._addresses],
        )
        try:
            if self._info is None:
                # Names are hashes of keys: probing for a conflict would only delay.
                _begin(self._zeroconf, self._zeroconf.async_register_service(info, cooperating_responders=True))
            else:
                _begin(self._zeroconf, self._zeroconf.async_update_service(info))
        except (Error, OSError, TimeoutError) as error:
            raise TrivetError(f"this node can't be announced by mDNS: {error!r}") from error
        self._info, self._announcement = info, announcement

    def _stop(self) -> None:
        zeroconf, self._zeroconf, self._info, self._announcement = self._zeroconf, None, None, None
        self._addresses = ()
        if zeroconf is not None:
            with suppress(Exception):  # sockets of addresses that are gone
                zeroconf.close()

    def _resolve_all(self) -> None:
        while (name := self._pending.get()) is not None:
            with self._lock:
                zeroconf, own = self._zeroconf, self._announcement
            if zeroconf is None or own is None:
                continue
            try:
                info = zeroconf.get_service_info(TYPE, name, RESOLVE_MS)
            except Exception as error:  # whatever a packet made of it, and a close meanwhile
                log.debug("announcement %r can't be resolved: %r", name[:80], error)
                continue
            if info is not None:
                self._take(info, own)

    def _take(self, info: ServiceInfo, own: Announcement) -> None:
        known = read_txt(info.properties, site_id=own.site_id)
        if known is None or known[0] == own.node_id or info.port is None:
            return
        node_id, slot, phase = known
        addresses = tuple(a for a in info.parsed_scoped_addresses(IPVersion.All) if usable(a))
        if self._hints.add(node_id, slot, phase, addresses, info.port):
            log.debug("hint: slot %d at %s", slot, ", ".join(addresses))
            self._found()


def _begin(zeroconf: Zeroconf, change: Coroutine[Any, Any, Awaitable[None]]) -> None:
    """Change what is announced. The packets, repeated over half a second, are not waited for."""
    assert zeroconf.loop is not None
    asyncio.run_coroutine_threadsafe(change, zeroconf.loop).result(CHANGE_LIMIT_S)


class _Names(ServiceListener):
    """Collects instance names, up to a bound."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        if len(self.seen) < MAX_PENDING:
            self.seen.add(name)

    update_service = add_service

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Who has just left was heard all the same."""


def listen(addresses: Sequence[str], *, site_id: str, seconds: float) -> tuple[tuple[str, int, str], ...]:
    """Browse for a moment, announcing nothing: node id, slot and phase of each announcement of the site.

    Raises TrivetError where multicast can't be used on these addresses of the node (without scope).
    """
    names = _Names()
    try:
        with Zeroconf(interfaces=list(addresses), ip_version=IPVersion.All) as zeroconf:
            browser = ServiceBrowser(zeroconf, TYPE, names)
            time.sleep(seconds)
            browser.cancel()
            known = [_announced(zeroconf, name, site_id) for name in sorted(names.seen)]
    except (Error, OSError, RuntimeError) as error:
        raise TrivetError(f"multicast can't be used on {', '.join(addresses)}: {error}") from error
    return tuple(sorted({heard for heard in known if heard is not None}))


def _announced(zeroconf: Zeroconf, name: str, site_id: str) -> tuple[str, int, str] | None:
    info = ServiceInfo(TYPE, name)
    # Responders send the text along with the name; who does not is asked once.
    there = info.load_from_cache(zeroconf) or info.request(zeroconf, RESOLVE_MS)
    return read_txt(info.properties, site_id=site_id) if there else None


def usable(address: str) -> bool:
    """Whether it can be a member's address: unicast, not ours by definition; link-local IPv6 needs its scope."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if parsed.is_loopback or parsed.is_multicast or parsed.is_unspecified:
        return False
    return not (parsed.version == 6 and parsed.is_link_local and "%" not in address)


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
