"""The site root: the authority on the workstation that vouches for the site's slots and its operator."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from firstboot.cluster import certificates
from firstboot.cluster.certificates import CLIENT, Issuer
from firstboot.cluster.trust import OperatorRole, key_id, load_certificate, slot_domain, verify_root
from firstboot.errors import BadInputError

SLOTS_BELOW = 1
"""Between the root and a node's key there is one authority: the slot."""


@dataclass(frozen=True)
class Credentials:
    """A certificate and its key, PEM."""

    certificate: str
    key: str = field(repr=False)


class SiteRoot(Issuer):
    """An unlocked site root."""

    @property
    def site_id(self) -> str:
        return key_id(self.key.public_key())

    def key_pem(self, passphrase: str | None) -> str:
        """The root key as PKCS#8, encrypted under the passphrase if there is one."""
        if not passphrase:
            return certificates.key_pem(self.key)
        encryption = BestAvailableEncryption(passphrase.encode())
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()

    def issue_slot(self, number: int, seed_id: str) -> Credentials:
        """A new key and certificate for one issue of a slot: it can vouch for a node's key, no more."""
        key = certificates.new_key()
        below = slot_domain(self.site_id, number, seed_id)
        certificate = certificates.issue_authority(self, f"slot-{number}", key.public_key(), below=below)
        return Credentials(certificates.pem(certificate), certificates.key_pem(key))

    def issue_operator(self) -> Credentials:
        """A new key and certificate for the workstation; a client only."""
        key = certificates.new_key()
        names = [OperatorRole(self.site_id).dns_name]
        certificate = certificates.issue(self, "operator", key.public_key(), names, usages=(CLIENT,))
        return Credentials(certificates.pem(certificate), certificates.key_pem(key))


def create_root(site_name: str) -> SiteRoot:
    """Make a new site root; its key's hash is the site's id."""
    made = certificates.create_authority(f"{site_name} site root", path_length=SLOTS_BELOW)
    return SiteRoot(made.certificate, made.key)


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
