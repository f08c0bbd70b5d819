"""The site root: the authority on the workstation that vouches for the site's slots and its operator."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from firstboot.cluster.trust import OperatorRole, Role, SlotRole, key_id, load_certificate, verify_root
from firstboot.errors import BadInputError

NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)
"""Backdated and long: a node's clock may be years off when it first shows its certificate."""

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True)
class Credentials:
    """A certificate and its key, PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class SiteRoot:
    """An unlocked site root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def site_id(self) -> str:
        return key_id(self.key.public_key())

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def key_pem(self, passphrase: str | None) -> str:
        """The root key as PKCS#8, encrypted under the passphrase if there is one."""
        return _key_pem(self.key, BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption())

    def issue_slot(self, number: int, seed_id: str) -> Credentials:
        """A new key and certificate for one issue of a slot; used by both ends of mutual TLS."""
        return self._issue(f"slot-{number}", SlotRole(self.site_id, number, seed_id), (CLIENT, SERVER))

    def issue_operator(self) -> Credentials:
        """A new key and certificate for the workstation; a client only."""
        return self._issue("operator", OperatorRole(self.site_id), (CLIENT,))

    def _issue(self, common_name: str, role: Role, usages: tuple[x509.ObjectIdentifier, ...]) -> Credentials:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(common_name), self.certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(role.uri)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Credentials(certificate.public_bytes(Encoding.PEM).decode(), _key_pem(key, NoEncryption()))


def create_root(site_name: str) -> SiteRoot:
    """Make a new site root; its key's hash is the site's id."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{site_name} site root")
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(digital_signature=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return SiteRoot(certificate, key)


def load_root(certificate_pem: str, key_pem: str, *, site_id: str, passphrase: str | None) -> SiteRoot:
    """Unlock a site root; raises BadInputError for a wrong passphrase or a key that is not the certificate's."""
    certificate = load_certificate(certificate_pem)
    verify_root(certificate, site_id)
    try:
        key = load_pem_private_key(key_pem.encode(), password=passphrase.encode() if passphrase else None)
    except (ValueError, TypeError) as error:
        raise BadInputError(
            "the site root key can't be unlocked" if passphrase else "the site root key can't be read",
            hint="give the passphrase that the site was made with, in a file: --passphrase-file FILE",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key_id(key.public_key()) != site_id:
        raise BadInputError("the site root key is not the key of its certificate", hint="restore the site folder")
    return SiteRoot(certificate, key)


def new_seed_id() -> str:
    """128 random bits in hex: one issue of one slot."""
    return secrets.token_hex(16)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
    )


def _usage(*, digital_signature: bool) -> x509.KeyUsage:
    """Key usage of an end entity (signs handshakes) or of an authority (signs certificates and lists)."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not digital_signature,
        crl_sign=not digital_signature,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_pem(key: ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()
