"""The cluster authority: made by the founder, held by every member; the members' own certificates are of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from firstboot.cluster import certificates
from firstboot.cluster.certificates import Issuer
from firstboot.cluster.members import MAX_AUTHORITIES
from firstboot.cluster.trust import MemberRole, issued_by, key_id, load_certificate, load_key, role_of
from firstboot.errors import BadInputError, RefusedError
from firstboot.files import write_atomic

LIFE = timedelta(days=730)
RENEW_LEFT = timedelta(days=365)
"""A member's certificate is renewed at half its life: daemons and clients have a year to take up the new one."""
MAX_TRUSTED = MAX_AUTHORITIES + 1
"""Those that the members' document has, and the one that a node is leaving."""

DAMAGED_HINT = "stop the agent, move the folder away and start it again: another member hands the authority on"


@dataclass(frozen=True)
class Authority(Issuer):
    """The issuer of today; `trusted` has the certificates that members accept, this one's included, newest first."""

    trusted: tuple[x509.Certificate, ...] = ()

    @property
    def trusted_pem(self) -> str:
        return "".join(certificates.pem(certificate) for certificate in self.trusted)

    @property
    def issuer_pem(self) -> str:
        """Certificate and key: the cluster's one secret."""
        return self.certificate_pem + certificates.key_pem(self.key)

    @property
    def fingerprint(self) -> str:
        """What members compare."""
        return fingerprint(self.certificate)


def create(site_name: str) -> Authority:
    """A new cluster authority."""
    made = certificates.create_authority(f"{site_name} cluster authority", path_length=0)
    return Authority(made.certificate, made.key, (made.certificate,))


def fingerprint(certificate: x509.Certificate) -> str:
    """The first 128 bits of SHA-256 over the DER certificate, in hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()[:32]


def read(issuer_pem: str, trusted: Sequence[str]) -> Authority:
    """An authority from PEM texts; raises BadInputError when they are not one."""
    certificate, key = load_certificate(issuer_pem), load_key(issuer_pem)
    if key is None or key_id(key.public_key()) != key_id(certificate.public_key()):
        raise BadInputError("the cluster authority's key is not its certificate's")
    if not issued_by(certificate, certificate):
        raise BadInputError("the cluster authority's certificate is not signed by itself")
    known = tuple(load_certificate(text) for text in trusted)
    if not 0 < len(known) <= MAX_TRUSTED or certificate not in known:
        raise BadInputError("the cluster authority is not among the trusted ones")
    return Authority(certificate, key, known)


def load(issuer: Path, trusted: Path) -> Authority | None:
    """The authority on disk, read whole also while it is saved; None without one; RefusedError when it is damaged."""
    try:
        pem, trusted_pem = _texts(issuer, trusted)
    except FileNotFoundError:
        return None
    try:
        return read(pem, split_pem(trusted_pem))
    except BadInputError as error:
        raise RefusedError(f"{issuer.parent} is damaged: {error.message}", hint=DAMAGED_HINT) from error


def save(authority: Authority, issuer: Path, trusted: Path) -> None:
    """Write it durably, so that at every moment the issuer on disk is among those trusted, and never before those.

    So another authority comes in three writes: it is trusted beside the former issuer, takes its place, and then the
    former one goes, unless `authority` still trusts it. Who is cut off before that trusts one too many.
    """
    issuer.parent.mkdir(mode=0o700, exist_ok=True)
    issuer.parent.chmod(0o700)
    former = load(issuer, trusted)
    is_left = former is not None and former.certificate not in authority.trusted
    write_atomic(trusted, authority.trusted_pem + (former.certificate_pem if former is not None and is_left else ""))
    if former is None or former.certificate != authority.certificate:
        write_atomic(issuer, authority.issuer_pem, mode=0o600)
    if is_left:
        write_atomic(trusted, authority.trusted_pem)


def _texts(issuer: Path, trusted: Path) -> tuple[str, str]:
    """Both files, of one moment as far as it matters: the same issuer before and after the other one was read."""
    pem = issuer.read_text(encoding="ascii", errors="replace")
    while True:
        trusted_pem = trusted.read_text(encoding="ascii", errors="replace")
        before, pem = pem, issuer.read_text(encoding="ascii", errors="replace")
        if pem == before:
            return pem, trusted_pem


def split_pem(text: str) -> list[str]:
    """The certificates of a PEM bundle, one text each."""
    end = "-----END CERTIFICATE-----"
    return [part.strip() + "\n" + end + "\n" for part in text.split(end)[:-1]]


def issue_member(
    authority: Authority, site_id: str, key: ec.EllipticCurvePublicKey, names: Sequence[str], now: datetime
) -> x509.Certificate:
    """A member's certificate: CN is its node id; `names` are the host names that it has in this cluster."""
    role = MemberRole(site_id, key_id(key))
    # The end is at least a life after the start, even while the clock is years behind.
    not_after = max(now, certificates.NOT_BEFORE) + LIFE
    return certificates.issue(authority, role.node_id, key, [role.dns_name, *names], not_after=not_after)


def signer(certificate: x509.Certificate, trusted: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """Which of these authorities issued it; None: none of them."""
    return next((authority for authority in trusted if issued_by(certificate, authority)), None)


def stale(
    certificate: x509.Certificate, authority: Authority, role: MemberRole, names: Sequence[str], now: datetime
) -> str | None:
    """Why a member's certificate has to be issued anew, or None. Pure."""
    try:
        if role_of(certificate) != role:
            return "it is another node's"
    except BadInputError as error:
        return error.message
    if signer(certificate, authority.trusted) is None:
        return "it is of another cluster authority"
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if not set(names) <= set(held.get_values_for_type(x509.DNSName)):
        return "this node's names changed"
    if certificate.not_valid_after_utc - now < RENEW_LEFT:
        return f"it ends on {certificate.not_valid_after_utc:%Y-%m-%d}"
    return None
