"""An authority of the tests' own: node certificates as enrolment hands them out, and such as it never would."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from firstboot.cluster.trust import key_id
from firstboot.paths import NODE_CERTIFICATE, NODE_KEY, TRUSTED
from tests.netns.namespaces import Node

YEAR = timedelta(days=365)
make_key = partial(generate_private_key, SECP256R1())


def pem_of(key: EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass(frozen=True)
class Material:
    """What a node has to show who it is: PEM texts of its key and certificate, and of whom it trusts."""

    key: str
    certificate: str
    trusted: str
    common_name: str

    def install(self, node: Node) -> None:
        """Write it where enrolment writes it."""
        for path, text in ((NODE_KEY, self.key), (NODE_CERTIFICATE, self.certificate), (TRUSTED, self.trusted)):
            node.write(path, text.encode())
        node.run("chmod", "0600", NODE_KEY)


@dataclass
class Authority:
    """A self-signed authority."""

    name: str = "cluster authority"
    key: EllipticCurvePrivateKey = field(default_factory=make_key)

    @property
    def certificate(self) -> str:
        return self._sign(self.key, self.name, -YEAR, 9 * YEAR, is_authority=True)

    def issue(
        self, *, common_name: str = "", begin: timedelta = -YEAR, end: timedelta = YEAR, trusted: str = ""
    ) -> Material:
        """A node's material, valid from `begin` to `end` from now; its name is the node id, if no other is given."""
        key = make_key()
        name = common_name or key_id(key.public_key())
        return Material(pem_of(key), self._sign(key, name, begin, end), trusted or self.certificate, name)

    def _sign(
        self, key: EllipticCurvePrivateKey, name: str, begin: timedelta, end: timedelta, *, is_authority: bool = False
    ) -> str:
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begin)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self.key, SHA256())
        )
        return certificate.public_bytes(Encoding.PEM).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
