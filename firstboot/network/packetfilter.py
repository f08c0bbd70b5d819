"""The packet filter: who reaches which ports of this node; one nftables table of its own, beside anybody else's."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from firstboot import paths
from firstboot.errors import BadInputError, TrivetError
from firstboot.files import write_atomic
from firstboot.run import CommandError, run

log = logging.getLogger(__name__)

TABLE = "inet trivet"
LIMIT_S = 60
HEADER = "# Written by trivet-firstboot; changes are lost.\n"
REPLACE = f"table {TABLE}\ndelete table {TABLE}\n"
"""Before the table in the same transaction: loading it once more replaces it, with no moment in between."""
REMEMBERED = 64
"""Strangers' addresses that the kernel remembers at most, each for an hour."""

SET = re.compile(r"\tset (?P<name>\w+) \{\n.*?\n\t\}\n", re.DOTALL)
ELEMENTS = re.compile(r"elements = \{(?P<elements>.*?)\}", re.DOTALL)
REFUSED = re.compile(r"([0-9a-f.:]+) counter packets (\d+)")

Address = IPv4Address | IPv6Address


def ruleset(members: Iterable[str]) -> str:
    """The table for these addresses of members, in the words in which nft(8) lists it. Pure; raises BadInputError.

    Only members reach Gluster: this guards what TLS guards too. There is no connection tracking: outgoing
    connections never have a port of Gluster's, because net.ipv4.ip_local_reserved_ports keeps those free.
    """
    known = {numeric(member) for member in members}
    ipv4 = sorted(address for address in known if isinstance(address, IPv4Address))
    ipv6 = sorted(address for address in known if isinstance(address, IPv6Address))
    gluster = f"{paths.GLUSTERD_PORT}, {paths.BRICK_PORTS[0]}-{paths.BRICK_PORTS[-1]}"
    return (
        f"table {TABLE} {{\n"
        f"{_members('members4', 'ipv4_addr', ipv4)}"
        f"{_members('members6', 'ipv6_addr', ipv6)}"
        f"{_refused('refused4', 'ipv4_addr')}"
        f"{_refused('refused6', 'ipv6_addr')}"
        "\tchain input {\n"
        "\t\ttype filter hook input priority filter - 10; policy accept;\n"
        f"\t\ttcp dport {{ {gluster} }} jump gluster\n"
        "\t}\n\n"
        "\tchain gluster {\n"
        '\t\tiif "lo" accept\n'
        "\t\tip saddr @members4 accept\n"
        "\t\tip6 saddr @members6 accept\n"
        "\t\tupdate @refused4 { ip saddr counter }\n"
        "\t\tupdate @refused6 { ip6 saddr counter }\n"
        "\t\tmeta l4proto tcp reject with tcp reset\n"
        "\t}\n"
        "}\n"
    )


def numeric(address: str) -> Address:
    """An address without its scope; one of IPv4 that an IPv6 socket saw is one of IPv4."""
    try:
        read_address = ip_address(address.partition("%")[0])
    except ValueError as error:
        raise BadInputError(f"a member's address is not numeric: {address}") from error
    mapped = read_address.ipv4_mapped if isinstance(read_address, IPv6Address) else None
    return mapped or read_address


def is_same(wanted: str, listed: str) -> bool:
    """Whether a listing of nft(8) shows the wanted table, whoever was refused meanwhile. Pure."""
    return _comparable(wanted) == _comparable(listed)


def refused(listed: str) -> dict[str, int]:
    """The strangers in a listing: address → packets that were refused within the hour. Pure."""
    sets = (found for found in SET.finditer(listed) if found["name"].startswith("refused"))
    return {address: int(packets) for found in sets for address, packets in REFUSED.findall(found[0])}


def read() -> str | None:
    """The table as it is loaded now, or None."""
    done = run(["nft", "list", "table", *TABLE.split()], timeout_s=LIMIT_S, check=False)
    return done.stdout if done.ok else None


def is_stored(wanted: str) -> bool:
    """Whether the next boot loads this table."""
    try:
        return paths.PACKET_FILTER.read_text(encoding="ascii", errors="replace") == _stored(wanted)
    except FileNotFoundError:
        return False


def store(wanted: str) -> None:
    """Have the next boot load this table."""
    write_atomic(paths.PACKET_FILTER, _stored(wanted), mode=0o600)


class PacketFilter:
    """Keeps the table as it should be, for one thread at a time, and says in the log whom it keeps away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused: set[str] = set()

    def keep(self, members: Iterable[str]) -> bool:
        """Load the table and store it for the next boot, where it is not so yet; whether it was loaded.

        Raises TrivetError when it can't be loaded: nothing that it guards may be started then.
        """
        wanted = ruleset(members)
        with self._lock:
            if not is_stored(wanted):
                store(wanted)
            listed = read()
            if listed is not None and is_same(wanted, listed):
                self._name_strangers(refused(listed))
                return False
            load(wanted)
            log.info("the packet filter was loaded: %s", "there was none" if listed is None else "it was another")
            self._refused.clear()
            return True

    def follow(self, members: Iterable[str]) -> None:
        """Keep it, if there is one by now: before the phase pool there is nothing that it would guard."""
        if paths.PACKET_FILTER.exists():
            self.keep(members)

    def _name_strangers(self, seen: dict[str, int]) -> None:
        for address in sorted(seen.keys() - self._refused):
            log.warning("%s is no member's address: the packet filter refused it Gluster's ports", address)
        self._refused = set(seen)


THE_FILTER = PacketFilter()
"""This machine's."""


def load(wanted: str) -> None:
    """Replace the table in one transaction, and see that it is there; raises TrivetError."""
    try:
        run(["nft", "-f", "-"], timeout_s=LIMIT_S, input_text=REPLACE + wanted)
    except CommandError as error:
        raise TrivetError(
            f"the packet filter can't be loaded: {error.message}",
            hint="has this kernel nf_tables? lsmod; try it: nft -f " + str(paths.PACKET_FILTER),
        ) from error
    listed = read()
    if listed is None or not is_same(wanted, listed):
        raise TrivetError(
            f"the packet filter was loaded, but the kernel has another: {listed or 'none'}",
            hint=f"what else changes it? nft monitor; nft list table {TABLE}",
        )


def _stored(wanted: str) -> str:
    return HEADER + REPLACE + wanted


def _members(name: str, kind: str, addresses: list[IPv4Address] | list[IPv6Address]) -> str:
    elements = f"\t\telements = {{ {', '.join(str(address) for address in addresses)} }}\n" if addresses else ""
    return f"\tset {name} {{\n\t\ttype {kind}\n{elements}\t}}\n\n"


def _refused(name: str, kind: str) -> str:
    bounds = f"\t\tsize {REMEMBERED}\n\t\tflags dynamic,timeout\n\t\ttimeout 1h\n"
    return f"\tset {name} {{\n\t\ttype {kind}\n{bounds}\t}}\n\n"


def _comparable(text: str) -> str:
    """The table without whom it refused, and without the line breaks that a listing has."""

    def forget(found: re.Match[str]) -> str:
        return ELEMENTS.sub("", found[0]) if found["name"].startswith("refused") else found[0]

    return " ".join(SET.sub(forget, text).split())
