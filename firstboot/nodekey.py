"""The node's own key and the id that follows from it; made once on this machine, never leaves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from firstboot.cluster.trust import SlotRole, key_id
from firstboot.errors import BadInputError
from firstboot.files import write_atomic
from firstboot.seed import Seed


@dataclass(frozen=True)
class NodeKey:
    """An ECDSA P-256 key."""

    key: ec.EllipticCurvePrivateKey

    @property
    def node_id(self) -> str:
        return key_id(self.key.public_key())

    @classmethod
    def load_or_make(cls, path: Path) -> NodeKey:
        """Read the key, or make it if the file is not there; raises BadInputError when it is damaged."""
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            key = ec.generate_private_key(ec.SECP256R1())
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_atomic(path, pem, mode=0o600)
            return cls(key)
        damaged = BadInputError(
            f"the node key {path} is damaged",
            hint="wipe the state partition: this machine then gets a new identity",
        )
        try:
            loaded = load_pem_private_key(raw, password=None)
        except (ValueError, TypeError) as error:
            raise damaged from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise damaged
        return cls(loaded)

    def sign_claim(self, seed: Seed) -> str:
        """A certificate signing request (PEM) for the seed's slot: proof that this node has the key."""
        role = SlotRole(seed.site.id, seed.slot.number, seed.slot.seed_id)
        builder = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"slot-{role.slot}")])
        )
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(role.uri)]), critical=False
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
