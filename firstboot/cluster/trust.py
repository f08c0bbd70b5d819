"""Whom a certificate stands for, and whether a seed proves its site: pure checks, no clock, no I/O."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from firstboot.cluster.certificates import BOTH
from firstboot.errors import BadInputError
from firstboot.seed import Seed

ID_HEX = 32
MAX_PEM = 16 * 1024

_ID = r"[0-9a-f]{32}"
_SITE = rf"(?P<site>{_ID})\.trivet\.internal"
SLOT_NAME = re.compile(rf"(?P<node>{_ID})\.(?P<seed>{_ID})\.slot-(?P<slot>[1-9][0-9]{{0,2}})\.{_SITE}")
MEMBER_NAME = re.compile(rf"(?P<node>{_ID})\.members\.{_SITE}")
OPERATOR_NAME = re.compile(rf"operator\.{_SITE}")

SEED_HINT = "make the seed again on the workstation that has the site: trivet site seed SITE SLOT -o FILE --again"

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


@dataclass(frozen=True)
class SlotRole:
    """A node that holds one issue (`seed_id`) of a slot: it had that seed's key, and has its own."""

    site_id: str
    slot: int
    seed_id: str
    node_id: str

    @property
    def dns_name(self) -> str:
        return f"{self.node_id}.{slot_domain(self.site_id, self.slot, self.seed_id)}"


@dataclass(frozen=True)
class MemberRole:
    """A node that the cluster admitted; only the cluster authority makes it one."""

    site_id: str
    node_id: str

    @property
    def dns_name(self) -> str:
        return f"{self.node_id}.{members_domain(self.site_id)}"


@dataclass(frozen=True)
class OperatorRole:
    """The workstation that has the site folder."""

    site_id: str

    @property
    def dns_name(self) -> str:
        return f"operator.{self.site_id}.trivet.internal"


Role = SlotRole | MemberRole | OperatorRole


def slot_domain(site_id: str, slot: int, seed_id: str) -> str:
    """The DNS name below which a slot's certificate can issue."""
    return f"{seed_id}.slot-{slot}.{site_id}.trivet.internal"


def members_domain(site_id: str) -> str:
    """The DNS name below which members' certificates are; also the server name that asks a node for its own one."""
    return f"members.{site_id}.trivet.internal"


def key_id(public_key: PublicKeyTypes) -> str:
    """The id of a site or node: the first 128 bits, in hex, of SHA-256 over the DER SubjectPublicKeyInfo."""
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:ID_HEX]


def load_certificate(certificate: str | bytes) -> x509.Certificate:
    """Read one certificate, PEM text or DER bytes; raises BadInputError."""
    if len(certificate) > MAX_PEM:
        raise BadInputError(f"a certificate is larger than {MAX_PEM} bytes")
    raw = certificate.encode() if isinstance(certificate, str) else certificate
    try:
        return (
            x509.load_pem_x509_certificate(raw)
            if raw.lstrip()[:5] == b"-----"
            else x509.load_der_x509_certificate(raw)
        )
    except ValueError as error:
        raise BadInputError(f"a certificate can't be read: {error}") from error


def load_key(pem: str) -> ec.EllipticCurvePrivateKey | None:
    """Read an elliptic-curve key, PEM; None when it is not one."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def role_of(certificate: str | bytes | x509.Certificate) -> Role:
    """Whom an end entity's certificate (PEM, DER or loaded) names; raises BadInputError when nobody of ours.

    A node's id must be the hash of the certificate's own key. The signature is not checked here: TLS does, with the
    name constraints of the slot that issued it.
    """
    loaded = certificate if isinstance(certificate, x509.Certificate) else load_certificate(certificate)
    constraints = _extension(loaded, x509.BasicConstraints)
    if constraints is None or constraints.ca:
        raise BadInputError(f"certificate {subject(loaded)} is an authority, nobody's own")
    names = _extension(loaded, x509.SubjectAlternativeName)
    roles = [role for name in (names.get_values_for_type(x509.DNSName) if names else []) if (role := _named(name))]
    if len(roles) != 1:
        raise BadInputError(f"certificate {subject(loaded)} names {len(roles)} holders, not one")
    (role,) = roles
    if not isinstance(role, OperatorRole) and role.node_id != key_id(loaded.public_key()):
        raise BadInputError(f"certificate {subject(loaded)} names node {role.node_id}, whose key is another one")
    return role


def _named(name: str) -> Role | None:
    if slot := SLOT_NAME.fullmatch(name):
        return SlotRole(slot["site"], int(slot["slot"]), slot["seed"], slot["node"])
    if member := MEMBER_NAME.fullmatch(name):
        return MemberRole(member["site"], member["node"])
    if operator := OPERATOR_NAME.fullmatch(name):
        return OperatorRole(operator["site"])
    return None


def issued_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    """Whether the root's key signed the certificate, and the names of issuer and subject agree."""
    try:
        certificate.verify_directly_issued_by(root)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def verify_root(root: x509.Certificate, site_id: str) -> None:
    """Check that this is the site root of that id: self-signed, an authority, and its key's hash is the id."""
    if key_id(root.public_key()) != site_id:
        raise BadInputError(
            f"the site root certificate is not of site {site_id}: its key has id {key_id(root.public_key())}",
            hint=SEED_HINT,
        )
    constraints = _extension(root, x509.BasicConstraints)
    if constraints is None or not constraints.ca or not issued_by(root, root):
        raise BadInputError(f"certificate {subject(root)} is not a self-signed authority", hint=SEED_HINT)


def verify_seed(seed: Seed) -> None:
    """Check that the seed proves its site and its slot; raises BadInputError that says what does not fit.

    The chain: the site id is the hash of the root's key, the root signed the slot certificate, that may issue for
    this site, slot and seed id and nothing else, and the key is the certificate's, if the seed has it still.
    Certificates are long-lived and backdated; their dates are left to TLS, because a node's clock may be wrong before
    it has a network.
    """
    root = load_certificate(seed.site.root_certificate)
    verify_root(root, seed.site.id)
    certificate = load_certificate(seed.slot.certificate)
    if not issued_by(certificate, root):
        raise BadInputError(
            f"the slot certificate was not signed by the root of site {seed.site.name} ({seed.site.id})",
            hint=SEED_HINT,
        )
    _verify_slot(certificate, slot_domain(seed.site.id, seed.slot.number, seed.slot.seed_id))
    if seed.slot.key:
        _verify_key(seed.slot.key, certificate)
    _verify_plan(seed)


def verify_claim(claim: x509.Certificate, seed: Seed, node_id: str) -> None:
    """Check that the claim certificate is this node's for this seed's slot; raises BadInputError."""
    if not issued_by(claim, load_certificate(seed.slot.certificate)):
        raise BadInputError("the claim certificate was not signed with the seed's slot key")
    expected = SlotRole(seed.site.id, seed.slot.number, seed.slot.seed_id, node_id)
    found = role_of(claim)
    if found != expected:
        raise BadInputError(f"the claim certificate is for {found.dns_name}, but this node is {expected.dns_name}")


def subject(certificate: x509.Certificate) -> str:
    """The certificate's subject for messages, bounded."""
    return certificate.subject.rfc4514_string()[:120] or "without subject"


def _verify_slot(certificate: x509.Certificate, domain: str) -> None:
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca or constraints.path_length != 0:
        raise BadInputError(f"certificate {subject(certificate)} can't vouch for a node's key", hint=SEED_HINT)
    usage = _extension(certificate, x509.ExtendedKeyUsage)
    if usage is None or not set(BOTH) <= set(usage):
        raise BadInputError(f"certificate {subject(certificate)} can't be used for mutual TLS", hint=SEED_HINT)
    names = _extension(certificate, x509.NameConstraints)
    permitted = [str(name.value) for name in (names.permitted_subtrees or [])] if names else []
    if permitted != [domain]:
        raise BadInputError(
            f"the slot certificate is for {', '.join(permitted) or 'any name'}, but the seed is for {domain}",
            hint=SEED_HINT,
        )


def _verify_key(pem: str, certificate: x509.Certificate) -> None:
    key = load_key(pem)
    if key is None:
        raise BadInputError("the seed's slot key can't be read", hint=SEED_HINT)
    if key_id(key.public_key()) != key_id(certificate.public_key()):
        raise BadInputError("the seed's slot key is not the slot certificate's", hint=SEED_HINT)


def _verify_plan(seed: Seed) -> None:
    numbers = [slot.number for slot in seed.plan.slots]
    if seed.slot.number not in numbers:
        raise BadInputError(
            f"the seed is for slot {seed.slot.number}, but its plan has slots {numbers}", hint=SEED_HINT
        )
    unknown = sorted(set(seed.overrides.disks) - {brick_class.name for brick_class in seed.plan.bricks})
    if unknown:
        raise BadInputError(
            f"the seed overrides the disks of brick class {unknown[0]}, which its plan does not have", hint=SEED_HINT
        )


def _extension(certificate: x509.Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except ValueError as error:  # duplicated or malformed extensions
        raise BadInputError(f"certificate {subject(certificate)} can't be read: {error}") from error
