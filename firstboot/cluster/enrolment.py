"""The phase enrol: this node gets the cluster authority, and by it a certificate of its own as a member."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Literal

from cryptography import x509
from pydantic import Field

from firstboot import paths
from firstboot.cluster import authority as authorities
from firstboot.cluster import certificates
from firstboot.cluster.authority import Authority
from firstboot.cluster.events import Endpoint
from firstboot.cluster.members import Members
from firstboot.cluster.server import Answer
from firstboot.cluster.session import Reply, UnreachableError, open_session
from firstboot.cluster.tls import Credentials, client_context
from firstboot.cluster.trust import MemberRole, SlotRole, load_certificate
from firstboot.context import Context, Member
from firstboot.document import Source, parse_document
from firstboot.errors import BadInputError, RefusedError
from firstboot.files import write_atomic
from firstboot.model import Model
from firstboot.nodekey import NodeKey
from firstboot.phases import Done, Outcome, Wait

log = logging.getLogger(__name__)


class Enrolment(Model):
    """What a member hands on to another; format trivet-enrolment 1. It holds the authority's key: never logged."""

    format: Literal["trivet-enrolment"] = "trivet-enrolment"
    version: str = "1.0"
    authority: str = Field(repr=False, max_length=16 * 1024)
    """Certificate and key, PEM."""
    trusted: tuple[str, ...] = Field(max_length=authorities.MAX_TRUSTED)


class Renewal(Model):
    """What `trivet-node renew` prints with --json."""

    format: Literal["trivet-renewal"] = "trivet-renewal"
    version: str = "1.0"
    node_id: str
    serial: str
    """The certificate's, in hex."""
    authority: str
    """Fingerprint of the cluster authority that it is of."""
    not_after: datetime


def renew(context: Context) -> Renewal:
    """Issue this node another certificate, whatever it has; raises RefusedError without the authority."""
    authority = authorities.load(paths.AUTHORITY_ISSUER, paths.TRUSTED)
    if authority is None or context.node_id is None:
        raise RefusedError("this node does not hold the cluster authority", hint=authorities.DAMAGED_HINT)
    issued = issue(context, authority, "an operator wants it")
    return Renewal(
        node_id=context.node_id,
        serial=f"{issued.serial_number:x}",
        authority=authority.fingerprint,
        not_after=issued.not_valid_after_utc,
    )


def step(context: Context, *, before: bool) -> Outcome:
    """Reach a member's certificate that is good for long; the founder makes the authority, the others ask for it.

    `before` says that this node had it in an earlier run: then it is never made anew, whatever became of it.
    """
    authority = authorities.load(paths.AUTHORITY_ISSUER, paths.TRUSTED)
    if authority is None:
        holders = _holders(context)
        if context.is_founder and not holders and not before:
            context.report("making the cluster authority")
            authority = authorities.create(context.claimed_seed.site.name)
        else:
            found = _ask(context, holders)
            if isinstance(found, Wait):
                return found
            authority = found
        authorities.save(authority, paths.AUTHORITY_ISSUER, paths.TRUSTED)
    context.authority = authority.fingerprint
    _require_same(context, authority)
    certificate = _keep_certificate(context, authority)
    return Done(
        f"certificate of {authority.certificate.subject.rfc4514_string()} until "
        f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    )


def member_credentials() -> Credentials | None:
    """What this node shows to other members; None before it is one."""
    try:
        key, chain = NodeKey.load(paths.NODE_KEY), paths.NODE_CERTIFICATE.read_text(encoding="ascii")
        return Credentials(chain, key.pem, paths.TRUSTED.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def answer(members: Members | None, role: SlotRole, refusal: str = "") -> Answer:
    """The cluster authority, for who is a member by their document, and nobody else.

    `refusal` is why a member gets nothing either: a clock that is far off.
    """
    if members is None:
        return Answer(409, {"error": "the founder is not decided yet"})
    if members.nodes.get(role.node_id) != role.slot:
        log.warning("slot %d, node %s asks for the cluster authority, but is no member", role.slot, role.node_id)
        return Answer(403, {"error": "that node is no member of this cluster"})
    if refusal:
        log.warning("slot %d, node %s gets no cluster authority: %s", role.slot, role.node_id, refusal)
        return Answer(409, {"error": refusal})
    authority = authorities.load(paths.AUTHORITY_ISSUER, paths.TRUSTED)
    if authority is None:
        return Answer(409, {"error": "this node does not hold the cluster authority yet"})
    log.info("the cluster authority goes to slot %d, node %s", role.slot, role.node_id)
    trusted = tuple(certificates.pem(certificate) for certificate in authority.trusted)
    return Answer(200, Enrolment(authority=authority.issuer_pem, trusted=trusted).model_dump(mode="json"))


def _holders(context: Context) -> list[Member]:
    """The members that said they hold the authority."""
    return [
        member
        for slot, member in sorted(context.members.items())
        if slot != context.slot.number and (view := context.views.get(slot)) is not None and view.authority
    ]


def _ask(context: Context, holders: list[Member]) -> Authority | Wait:
    """Ask the founder first, whatever it said last: it makes the authority right after it was decided."""
    founder = context.members[context.founder_slot or 0]
    asked = [member for member in (founder, *holders) if member.slot != context.slot.number]
    trouble = "no other member hands on the cluster authority, which this node had"
    for member in dict.fromkeys(asked):
        try:
            given = fetch(context, member)
        except UnreachableError as error:
            trouble = f"{member.name} does not hand on the cluster authority: {error.message}"
            continue
        if given is not None:
            return given
        trouble = f"{member.name} does not hold the cluster authority yet"
    return Wait(trouble, f"trivet-node status on {founder.name}")


def fetch(context: Context, member: Member) -> Authority | None:
    """Ask a member that this node knows by its node id; None before it holds it itself; raises UnreachableError."""
    endpoint = Endpoint(member.address, paths.ADMISSION_PORT)
    site_id = context.claimed_seed.site.id
    with open_session(endpoint, client_context(context.claim_credentials), site_id=site_id) as session:
        role = session.role
        if not isinstance(role, SlotRole) or (role.slot, role.node_id) != (member.slot, member.node_id):
            raise BadInputError(f"another machine than {member.name} answers there")
        reply = session.ask("POST", "/v1/enrol", "{}")
        if reply.code == 409:
            return None
        if reply.code != 200:
            raise BadInputError(f"it refused with {reply.code}{_error(reply)}")
        given = parse_document(reply.raw, Enrolment, Source("its enrolment"))
        return authorities.read(given.authority, given.trusted)


def _error(reply: Reply) -> str:
    """What a refusal says of itself, bounded, after a colon."""
    try:
        document = json.loads(reply.raw)
    except (ValueError, RecursionError):
        document = None
    error = document.get("error") if isinstance(document, dict) else None
    return f": {error[:300]}" if isinstance(error, str) else ""


def _require_same(context: Context, authority: Authority) -> None:
    if context.document is not None and context.document.authorities:
        return  # there are several, for a while: the document says which
    for slot, view in sorted(context.views.items()):
        if slot in context.members and view.authority not in (None, authority.fingerprint):
            raise RefusedError(
                f"{context.members[slot].name} holds another cluster authority ({view.authority}) than this node "
                f"({authority.fingerprint})",
                hint="one of the two is of another life of this site: wipe the state of that machine",
            )


def _keep_certificate(context: Context, authority: Authority) -> x509.Certificate:
    role = MemberRole(context.claimed_seed.site.id, NodeKey.load(paths.NODE_KEY).node_id)
    held = load_certificate_of_node()
    why = (
        "there is none"
        if held is None
        else authorities.stale(held, authority, role, member_names(context), datetime.now(UTC))
    )
    if held is not None and why is None:
        return held
    return issue(context, authority, why)


def issue(context: Context, authority: Authority, why: str | None) -> x509.Certificate:
    """Have this node another certificate, and say why."""
    key, site_id = NodeKey.load(paths.NODE_KEY).key, context.claimed_seed.site.id
    issued = authorities.issue_member(authority, site_id, key.public_key(), member_names(context), datetime.now(UTC))
    write_atomic(paths.NODE_CERTIFICATE, certificates.pem(issued))
    log.info("this node's certificate was issued: %s", why)
    return issued


def member_names(context: Context) -> tuple[str, ...]:
    """The host names in this node's certificate."""
    member = context.members[context.slot.number]
    return (member.host_name, member.name)


def load_certificate_of_node() -> x509.Certificate | None:
    """This node's certificate as a member; None without one that can be read."""
    try:
        return load_certificate(paths.NODE_CERTIFICATE.read_bytes())
    except (FileNotFoundError, BadInputError):
        return None
