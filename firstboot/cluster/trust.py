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
from cryptography.x509.oid import ExtendedKeyUsageOID

from firstboot.errors import BadInputError
from firstboot.seed import Seed

ID_HEX = 32
MAX_PEM = 16 * 1024

SLOT_URI = re.compile(r"trivet:(?P<site>[0-9a-f]{32}):slot:(?P<slot>[1-9][0-9]{0,2}):(?P<seed>[0-9a-f]{32})")
OPERATOR_URI = re.compile(r"trivet:(?P<site>[0-9a-f]{32}):operator")

SEED_HINT = "make the seed again on the workstation that has the site: trivet site seed SITE SLOT -o FILE --again"

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


@dataclass(frozen=True)
class SlotRole:
    """The holder of one issue (`seed_id`) of a slot's certificate."""

    site_id: str
    slot: int
    seed_id: str

    @property
    def uri(self) -> str:
        return f"trivet:{self.site_id}:slot:{self.slot}:{self.seed_id}"


@dataclass(frozen=True)
class OperatorRole:
    """The workstation that has the site folder."""

    site_id: str

    @property
    def uri(self) -> str:
        return f"trivet:{self.site_id}:operator"


Role = SlotRole | OperatorRole


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


def role_of(certificate: str | bytes | x509.Certificate) -> Role:
    """Whom the certificate (PEM, DER or loaded) names in its only URI name; raises BadInputError when nobody of ours.

    The signature is not checked here: TLS or `issued_by` does.
    """
    loaded = certificate if isinstance(certificate, x509.Certificate) else load_certificate(certificate)
    names = _extension(loaded, x509.SubjectAlternativeName)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names else []
    if len(uris) != 1:
        raise BadInputError(f"certificate {subject(loaded)} has {len(uris)} URI names; a Trivet certificate has one")
    if slot := SLOT_URI.fullmatch(uris[0]):
        return SlotRole(slot["site"], int(slot["slot"]), slot["seed"])
    if operator := OPERATOR_URI.fullmatch(uris[0]):
        return OperatorRole(operator["site"])
    raise BadInputError(f"certificate {subject(loaded)} names no slot or operator: {uris[0][:120]!r}")


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

    The chain: the site id is the hash of the root's key, the root signed the slot certificate, that names this
    site, slot and seed id, and the key is the certificate's. Certificates are long-lived and backdated; their
    dates are left to TLS, because a node's clock may be wrong before it has a network.
    """
    root = load_certificate(seed.site.root_certificate)
    verify_root(root, seed.site.id)
    certificate = load_certificate(seed.slot.certificate)
    if not issued_by(certificate, root):
        raise BadInputError(
            f"the slot certificate was not signed by the root of site {seed.site.name} ({seed.site.id})",
            hint=SEED_HINT,
        )
    _verify_leaf(certificate)
    expected = SlotRole(seed.site.id, seed.slot.number, seed.slot.seed_id)
    found = role_of(certificate)
    if found != expected:
        raise BadInputError(
            f"the slot certificate is for {found.uri}, but the seed is for {expected.uri}", hint=SEED_HINT
        )
    _verify_key(seed.slot.key, certificate)
    _verify_plan(seed)


def subject(certificate: x509.Certificate) -> str:
    """The certificate's subject for messages, bounded."""
    return certificate.subject.rfc4514_string()[:120] or "without subject"


def _verify_leaf(certificate: x509.Certificate) -> None:
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or constraints.ca:
        raise BadInputError(f"certificate {subject(certificate)} is an authority, not a slot's", hint=SEED_HINT)
    usage = _extension(certificate, x509.ExtendedKeyUsage)
    needed = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    if usage is None or not needed <= set(usage):
        raise BadInputError(f"certificate {subject(certificate)} can't be used for mutual TLS", hint=SEED_HINT)


def _verify_key(pem: str, certificate: x509.Certificate) -> None:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise BadInputError("the seed's slot key can't be read", hint=SEED_HINT) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key_id(key.public_key()) != key_id(
        certificate.public_key()
    ):
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
