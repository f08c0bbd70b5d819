"""Ways to members that need no multicast: the seed, DHCP, DNS. They give addresses to visit; mutual TLS decides."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firstboot.cluster.announcement import usable
from firstboot.cluster.events import Endpoint
from firstboot.errors import TrivetError
from firstboot.network.address import PEERS_OPTION
from firstboot.run import run

log = logging.getLogger(__name__)

DNS_NAME = "trivet-peers"
"""Looked up in each search domain."""
RESOLV_CONF = Path("/etc/resolv.conf")

MAX_ADDRESSES = 64
"""Of each way: any member that answers tells where the others are."""
MAX_DOMAINS = 6
FIRST_PAUSE_S, LAST_PAUSE_S = 5.0, 60.0
NETWORKD_S = 20.0


@dataclass(frozen=True)
class Way:
    """One way of looking for members and what it gave: addresses, or why none."""

    name: str
    endpoints: tuple[Endpoint, ...] = ()
    trouble: str = ""

    def __str__(self) -> str:
        count = len(self.endpoints)
        gave = f"{count} address{'es' * (count != 1)}" if count else self.trouble or "nothing"
        return f"{self.name}: {gave}"


class Fallbacks:
    """Looks in a thread of its own, while somebody is missing. Multicast alone has the first seconds."""

    def __init__(
        self,
        peers: Sequence[str],
        *,
        port: int,
        link: Callable[[], str | None],
        needed: Callable[[], bool],
        found: Callable[[], None],
    ) -> None:
        """`peers` are addresses and names of the seed, `link` is where DHCP is asked; `found` is called on news."""
        self._given = [endpoint(peer, port) for peer in peers]
        self._port = port
        self._link = link
        self._needed = needed
        self._found = found
        self._stop = threading.Event()
        self.ways = tuple(self._numeric())
        """What the last look gave; what needs no asking is there from the beginning."""

    def start(self) -> None:
        threading.Thread(target=self._run, name="fallbacks", daemon=True).start()

    def close(self) -> None:
        self._stop.set()

    def endpoints(self) -> list[Endpoint]:
        """Where members may be."""
        return list(dict.fromkeys(found for way in self.ways for found in way.endpoints))

    def look(self) -> None:
        """Ask every way once. Each is bounded: DNS by the resolver's own time limits."""
        before = self.endpoints()
        ways = [*self._numeric(), *self._named(), *self._of_dhcp()]
        domains = search_domains(_read(RESOLV_CONF))
        ways += [resolve(f"{DNS_NAME}.{domain}", self._port) for domain in domains]
        self.ways = tuple(ways)
        if set(self.endpoints()) - set(before):
            self._found()

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stop.wait(pause_s):
            if self._needed():
                try:
                    self.look()
                except Exception:  # whatever a resolver made of a strange name
                    log.exception("members could not be looked for without multicast")
                pause_s = min(pause_s * 2, LAST_PAUSE_S)
            else:
                pause_s = FIRST_PAUSE_S

    def _numeric(self) -> list[Way]:
        numeric = tuple(peer for peer in self._given if usable(peer.address))[:MAX_ADDRESSES]
        return [Way("seed", numeric)] if numeric else []

    def _named(self) -> list[Way]:
        return [resolve(peer.address, peer.port) for peer in self._given if not usable(peer.address)]

    def _of_dhcp(self) -> list[Way]:
        link = self._link()
        text = _networkd(link) if link else None
        if text is None:
            return []
        found = tuple(Endpoint(address, self._port) for address in dhcp_addresses(text))
        return [Way(f"DHCP option {PEERS_OPTION}", found, "not given")]


def endpoint(peer: str, port: int) -> Endpoint:
    """A peer of the seed: `ADDRESS`, `NAME`, either with `:PORT`, or `[IPV6]:PORT`."""
    if peer.startswith("["):
        host, _, rest = peer[1:].partition("]")
        given = rest.removeprefix(":")
    elif peer.count(":") == 1:
        host, _, given = peer.partition(":")
    else:
        host, given = peer, ""
    return Endpoint(host, int(given) if given.isdecimal() and 0 < int(given) < 65536 else port)


def resolve(name: str, port: int) -> Way:
    """All addresses of a DNS name, IPv4 and IPv6."""
    try:
        answers = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Way(f"DNS name {name}", trouble=_lookup_trouble(error))
    found = dict.fromkeys(str(answer[4][0]) for answer in answers)
    endpoints = [Endpoint(address, port) for address in found if usable(address)]
    return Way(f"DNS name {name}", tuple(endpoints[:MAX_ADDRESSES]), "no usable address")


def search_domains(resolv_conf: str) -> tuple[str, ...]:
    """The search domains of this machine's resolver, of DHCP or the plan; the last line counts (resolv.conf(5))."""
    domains: list[str] = []
    for line in resolv_conf.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word in ("search", "domain"):
            domains = [domain.strip(".") for domain in rest.split()]
    return tuple(domain for domain in domains if domain)[:MAX_DOMAINS]


class _Option(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int = Field(alias="Option")
    data: str = Field(alias="PrivateOptionData")


class _Client(BaseModel):
    options: tuple[_Option, ...] = Field(default=(), alias="PrivateOptions")


class _Link(BaseModel):
    client: _Client = Field(default=_Client(), alias="DHCPv4Client")


def dhcp_addresses(text: str) -> tuple[str, ...]:
    """The addresses in our option, of `networkctl status --json=short LINK`; what is odd is left out."""
    try:
        options = _Link.model_validate_json(text).client.options
    except ValidationError:
        log.warning("networkctl says what is not understood: %s", text[:200])
        return ()
    found: list[str] = []
    for option in options:
        if option.number == PEERS_OPTION:
            with suppress(ValueError):
                raw = bytes.fromhex(option.data)
                found += [str(IPv4Address(raw[at : at + 4])) for at in range(0, len(raw) - len(raw) % 4, 4)]
    return tuple(address for address in dict.fromkeys(found) if usable(address))[:MAX_ADDRESSES]


def _networkd(link: str) -> str | None:
    """What networkd says of the link; None where it does not run."""
    try:
        done = run(["networkctl", "status", "--json=short", link], timeout_s=NETWORKD_S, check=False)
    except TrivetError:  # no networkd on this machine, or it hangs
        return None
    return done.stdout if done.ok and done.stdout.startswith("{") else None


def _lookup_trouble(error: OSError | UnicodeError) -> str:
    if not isinstance(error, socket.gaierror):
        return "is no name"
    if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
        return "no such name"
    return "no answer" if error.errno == socket.EAI_AGAIN else (error.strerror or "failed").lower()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
