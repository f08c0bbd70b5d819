"""Whether this node's key, certificate and trusted authorities fit together now: what Gluster never says itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from firstboot import paths
from firstboot.cluster.trust import issued_by, key_id
from firstboot.errors import RefusedError, TrivetError

ENROL_HINT = "the phase enrol makes it anew: systemctl restart trivet-firstboot; journalctl -u trivet-firstboot"
CLOCK_HINT = "set the clock if it is wrong (chronyc tracking); otherwise "


@dataclass(frozen=True)
class Material:
    """What a node proves itself with to Gluster, PEM as it lies on disk; None is a file that is not there."""

    key: bytes | None
    certificate: bytes | None
    trusted: bytes | None


@dataclass(frozen=True)
class Proof:
    """A certificate that fits everything else, and the authority that signed it."""

    certificate: x509.Certificate
    authority: x509.Certificate


def read() -> Material:
    """The files on this node."""
    return Material(_content(paths.NODE_KEY), _content(paths.NODE_CERTIFICATE), _content(paths.TRUSTED))


def verify(material: Material, node_id: str, now: datetime) -> Proof:
    """Whether members would take this node for `node_id` at that time; raises TrivetError with the cause. Pure."""
    key = _key(_present(material.key, paths.NODE_KEY))
    certificate = _certificates(_present(material.certificate, paths.NODE_CERTIFICATE), paths.NODE_CERTIFICATE)[0]
    trusted = _certificates(_present(material.trusted, paths.TRUSTED), paths.TRUSTED)
    if key_id(key.public_key()) != key_id(certificate.public_key()):
        raise RefusedError(
            f"{paths.NODE_CERTIFICATE} and {paths.NODE_KEY} don't belong together: the certificate is of another key",
            hint=ENROL_HINT,
        )
    if common_name(certificate) != node_id:
        raise RefusedError(
            f"{paths.NODE_CERTIFICATE} is of node {common_name(certificate) or '(without a name)'}, not of {node_id}",
            hint=ENROL_HINT,
        )
    signers = [authority for authority in trusted if issued_by(certificate, authority)]
    if not signers:
        names = ", ".join(common_name(authority) for authority in trusted)
        raise RefusedError(
            f"{paths.NODE_CERTIFICATE} is of another authority than those of {paths.TRUSTED} ({names})",
            hint=ENROL_HINT,
        )
    _require_valid(str(paths.NODE_CERTIFICATE), certificate, now)
    _require_valid(f"the authority {common_name(signers[0])} of {paths.TRUSTED}", signers[0], now)
    return Proof(certificate, signers[0])


def common_name(certificate: x509.Certificate) -> str:
    """What Gluster knows the holder by; empty without one."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _require_valid(what: str, certificate: x509.Certificate, now: datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        raise RefusedError(
            f"{what} is not valid before {begin:%Y-%m-%d %H:%M} UTC; it is {now:%Y-%m-%d %H:%M} here",
            hint=CLOCK_HINT + ENROL_HINT,
        )
    if now > end:
        raise RefusedError(
            f"{what} expired on {end:%Y-%m-%d %H:%M} UTC; it is {now:%Y-%m-%d %H:%M} here",
            hint=CLOCK_HINT + ENROL_HINT,
        )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _present(content: bytes | None, path: Path) -> bytes:
    if content is None:
        raise TrivetError(f"{path} is not there: glusterd is not started without it", hint=ENROL_HINT)
    return content


def _key(content: bytes) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise RefusedError(
            f"{paths.NODE_KEY} is no private key: {error}", hint="restore it, or wipe this node's state"
        ) from error


def _certificates(content: bytes, path: Path) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise RefusedError(f"{path} has no certificate that can be read: {error}", hint=ENROL_HINT) from error
