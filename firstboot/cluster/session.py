"""One mutual-TLS connection to a node: who is there, what it answers, and in words why nobody does."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from firstboot.cluster import tls
from firstboot.cluster.events import Endpoint
from firstboot.cluster.trust import Role
from firstboot.errors import BadInputError, TrivetError

CONNECT_S = 5.0
ANSWER_S = 15.0
MAX_ANSWER_BYTES = 256 * 1024


class UnreachableError(TrivetError):
    """Nobody answered, or not with TLS of this site."""


@dataclass(frozen=True)
class Reply:
    """An answer: its HTTP status and body, at most MAX_ANSWER_BYTES; `date` is its clock's time in full seconds."""

    code: int
    raw: bytes
    date: datetime | None


class Session:
    """A connection to a proved node. `reached` is where: a numeric IPv4 address, or what was given."""

    def __init__(self, connected: ssl.SSLSocket, reached: Endpoint, role: Role) -> None:
        self.reached = reached
        self.role = role
        self._connection = http.client.HTTPConnection("node")
        self._connection.sock = connected

    def ask(self, method: str, path: str, body: str | None = None) -> Reply:
        """One request; raises what `open_session` turns into UnreachableError."""
        self._connection.request(method, path, body)
        response = self._connection.getresponse()
        raw = response.read(MAX_ANSWER_BYTES + 1)
        if len(raw) > MAX_ANSWER_BYTES:
            raise BadInputError("its answer is too large")
        return Reply(response.status, raw, _date(response.getheader("Date")))


@contextmanager
def open_session(
    endpoint: Endpoint,
    context: ssl.SSLContext,
    *,
    site_id: str,
    server_name: str | None = None,
    connect_s: float = CONNECT_S,
) -> Iterator[Session]:
    """Connect and prove; `server_name` asks for the certificate of that name.

    Raises UnreachableError with the cause in one line, also for what goes wrong inside.
    """
    try:
        with (
            socket.create_connection((endpoint.address, endpoint.port), timeout=connect_s) as raw,
            _secure(raw, context, server_name) as connected,
        ):
            reached = Endpoint(_reached(connected, endpoint), endpoint.port)
            yield Session(connected, reached, tls.peer_role(connected, site_id=site_id))
    except (OSError, UnicodeError, http.client.HTTPException, BadInputError) as error:
        raise UnreachableError(f"{endpoint.address} port {endpoint.port}: {_cause(error)}") from error


def _secure(raw: socket.socket, context: ssl.SSLContext, server_name: str | None) -> ssl.SSLSocket:
    raw.settimeout(ANSWER_S)  # for the handshake too: it is slow on a machine that has just started
    return context.wrap_socket(raw, server_hostname=server_name)


def _reached(connected: ssl.SSLSocket, endpoint: Endpoint) -> str:
    """The numeric IPv4 address that was reached; for IPv6 what was given, because the peer's lacks the scope."""
    address = str(connected.getpeername()[0]).removeprefix("::ffff:")
    return endpoint.address if ":" in address else address


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def _cause(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "it has no certificate of this site"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'unknown'})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
