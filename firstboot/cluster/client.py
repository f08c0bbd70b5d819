"""Visits another member: one mutual-TLS connection, its slot proved by its certificate, its view, our claim."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from firstboot.cluster import tls
from firstboot.cluster.events import Endpoint, Visit
from firstboot.cluster.trust import SlotRole
from firstboot.cluster.views import View
from firstboot.cluster.votes import lacks_claim
from firstboot.document import Source, parse_fields, validate_fields
from firstboot.errors import BadInputError, TrivetError

CONNECT_S = 5.0
ANSWER_S = 15.0
MAX_ANSWER_BYTES = 256 * 1024


class UnreachableError(TrivetError):
    """Nobody answered, or not with TLS of this site."""


@dataclass(frozen=True)
class Claimant:
    """Who visits: its slot and node id, and the signing request that proves the node key."""

    slot: int
    node_id: str
    csr: str


@dataclass(frozen=True)
class Look:
    """A member looked at without a claim; `date` is its clock's time in full seconds, where the answer says it."""

    slot: int
    view: View
    date: datetime | None


class _Connection(http.client.HTTPConnection):
    """HTTP on a socket that is connected already; `date` is that of the last answer."""

    def __init__(self, connected: ssl.SSLSocket, host: str) -> None:
        super().__init__(host)
        self.sock = connected
        self.date: str | None = None


def visit(endpoint: Endpoint, context: ssl.SSLContext, *, site_id: str, claimant: Claimant) -> Visit:
    """Fetch the view, and claim our slot if it lacks that. Raises UnreachableError with the cause in one line."""
    with _member(endpoint, context, site_id) as (connection, reached, role):
        return _talk(connection, reached, role, claimant)


def look(endpoint: Endpoint, context: ssl.SSLContext, *, site_id: str) -> Look:
    """Fetch the view and change nothing. Raises UnreachableError with the cause in one line."""
    with _member(endpoint, context, site_id) as (connection, _, role):
        return Look(role.slot, _view(connection, role), _date(connection.date))


@contextmanager
def _member(
    endpoint: Endpoint, context: ssl.SSLContext, site_id: str
) -> Iterator[tuple[_Connection, Endpoint, SlotRole]]:
    try:
        with (
            socket.create_connection((endpoint.address, endpoint.port), timeout=CONNECT_S) as raw,
            _secure(raw, context) as connected,
        ):
            reached = Endpoint(_reached(connected, endpoint), endpoint.port)
            role = tls.peer_role(connected, site_id=site_id)
            if not isinstance(role, SlotRole):
                raise BadInputError("an operator's certificate can't serve")
            yield _Connection(connected, "node"), reached, role
    except (OSError, UnicodeError, http.client.HTTPException, BadInputError) as error:
        raise UnreachableError(f"{endpoint.address} port {endpoint.port}: {_cause(error)}") from error


def _secure(raw: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    raw.settimeout(ANSWER_S)  # for the handshake too: it is slow on a machine that has just started
    return context.wrap_socket(raw)


def _reached(connected: ssl.SSLSocket, endpoint: Endpoint) -> str:
    """The numeric IPv4 address that was reached; for IPv6 what was given, because the peer's lacks the scope."""
    address = str(connected.getpeername()[0]).removeprefix("::ffff:")
    return endpoint.address if ":" in address else address


def _talk(connection: _Connection, endpoint: Endpoint, role: SlotRole, claimant: Claimant) -> Visit:
    view = _view(connection, role)
    if not lacks_claim(view, role.slot, claimant.slot, claimant.node_id):
        return Visit(endpoint, role.slot, view)
    code, raw = _ask(connection, "POST", "/v1/claim", json.dumps({"csr": claimant.csr}))
    if code == 409:
        return Visit(endpoint, role.slot, view, *_incumbent(raw))
    if code != 200:
        raise BadInputError(f"our claim was refused with {code}")
    return Visit(endpoint, role.slot, _view(connection, role))


def _view(connection: _Connection, role: SlotRole) -> View:
    code, raw = _ask(connection, "GET", "/v1/view", None)
    if code != 200:
        raise BadInputError(f"its view was refused with {code}")
    view = read_view(raw)
    if (view.slot, view.seed_id) != (role.slot, role.seed_id):
        raise BadInputError(f"it shows the view of slot {view.slot} under the certificate of slot {role.slot}")
    return view


def _ask(connection: _Connection, method: str, path: str, body: str | None) -> tuple[int, bytes]:
    connection.request(method, path, body)
    response = connection.getresponse()
    connection.date = response.getheader("Date")
    raw = response.read(MAX_ANSWER_BYTES + 1)
    if len(raw) > MAX_ANSWER_BYTES:
        raise BadInputError("its answer is too large")
    return response.status, raw


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def read_view(raw: bytes) -> View:
    """A view from the wire; raises BadInputError. Unknown fields of the same major version are ignored."""
    source = Source("its view")
    fields = parse_fields(raw, View, source)
    return validate_fields({key: value for key, value in fields.items() if key in View.model_fields}, View, source)


def _incumbent(raw: bytes) -> tuple[str, str]:
    """Who holds our slot according to a refusal, and why that stays."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    fields = document if isinstance(document, dict) else {}
    incumbent, why = fields.get("incumbent"), fields.get("why")
    return incumbent[:32] if isinstance(incumbent, str) else "unknown", why[:200] if isinstance(why, str) else ""


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
