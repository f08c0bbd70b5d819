"""Visits another member: one mutual-TLS connection that proves its slot and its key, its view, our claim."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from firstboot.cluster.clocks import Reading, reading
from firstboot.cluster.events import Endpoint, Visit
from firstboot.cluster.session import CONNECT_S, Session, open_session
from firstboot.cluster.trust import SlotRole
from firstboot.cluster.views import View
from firstboot.cluster.votes import lacks_claim
from firstboot.document import Source, parse_fields, validate_fields
from firstboot.errors import BadInputError


@dataclass(frozen=True)
class Claimant:
    """Who visits, as its credentials prove."""

    slot: int
    node_id: str


@dataclass(frozen=True)
class Look:
    """A member looked at without a claim; `clock` is what its clock showed, where the answer says it."""

    slot: int
    view: View
    clock: Reading | None


Hear = Callable[[View, Reading | None], None]
"""Is told each view and what the clock of its node showed with it."""


def _ignore(view: View, clock: Reading | None) -> None:
    pass


def visit(
    endpoint: Endpoint,
    context: ssl.SSLContext,
    *,
    site_id: str,
    claimant: Claimant,
    hear: Hear = _ignore,
    connect_s: float = CONNECT_S,
) -> Visit:
    """Fetch the view, and claim our slot if it lacks that. Raises UnreachableError with the cause in one line."""
    with open_session(endpoint, context, site_id=site_id, connect_s=connect_s) as session:
        return _talk(session, claimant, hear)


def look(endpoint: Endpoint, context: ssl.SSLContext, *, site_id: str) -> Look:
    """Fetch the view and change nothing. Raises UnreachableError with the cause in one line."""
    with open_session(endpoint, context, site_id=site_id) as session:
        view, clock = _view(session)
        return Look(view.slot, view, clock)


def _talk(session: Session, claimant: Claimant, hear: Hear = _ignore) -> Visit:
    view, clock = _view(session)
    hear(view, clock)
    if not lacks_claim(view, view.slot, claimant.slot, claimant.node_id):
        return Visit(session.reached, view.slot, view)
    reply = session.ask("POST", "/v1/claim", "{}")
    if reply.code == 409:
        return Visit(session.reached, view.slot, view, *_incumbent(reply.raw))
    if reply.code != 200:
        raise BadInputError(f"our claim was refused with {reply.code}")
    view, _ = _view(session)
    return Visit(session.reached, view.slot, view)


def _view(session: Session) -> tuple[View, Reading | None]:
    """The view of the node that TLS proved, and what its clock showed."""
    role = session.role
    if not isinstance(role, SlotRole):
        raise BadInputError("it shows a certificate that is no slot's")
    began_s = time.monotonic()
    reply = session.ask("GET", "/v1/view")
    ended_s = time.monotonic()
    if reply.code != 200:
        raise BadInputError(f"its view was refused with {reply.code}")
    view = read_view(reply.raw)
    if (view.slot, view.seed_id, view.node_id) != (role.slot, role.seed_id, role.node_id):
        raise BadInputError(
            f"it shows the view of slot {view.slot}, node {view.node_id[:12]}, under the certificate of "
            f"slot {role.slot}, node {role.node_id[:12]}"
        )
    return view, reading(reply.date, began_s, ended_s)


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
