"""The node's own key, the id that follows from it, and the claim certificate that ties it to a slot."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from firstboot.cluster import certificates
from firstboot.cluster.certificates import Issuer
from firstboot.cluster.tls import Credentials
from firstboot.cluster.trust import SlotRole, key_id, load_certificate, load_key, verify_claim
from firstboot.errors import BadInputError
from firstboot.files import write_atomic
from firstboot.seed import Seed


@dataclass(frozen=True)
class NodeKey:
    """An ECDSA P-256 key, made once on this machine; it never leaves it."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def node_id(self) -> str:
        return key_id(self.key.public_key())

    @property
    def pem(self) -> str:
        return certificates.key_pem(self.key)

    @classmethod
    def load(cls, path: Path) -> NodeKey:
        """Read the key; raises FileNotFoundError without one, BadInputError when it is damaged."""
        key = load_key(path.read_text(encoding="ascii", errors="replace"))
        if key is None:
            raise BadInputError(
                f"the node key {path} is damaged",
                hint="wipe the state partition: this machine then gets a new identity",
            )
        return cls(key)

    @classmethod
    def load_or_make(cls, path: Path) -> NodeKey:
        """Read the key, or make it if the file is not there; raises BadInputError when it is damaged."""
        try:
            return cls.load(path)
        except FileNotFoundError:
            made = cls(certificates.new_key())
            write_atomic(path, made.pem, mode=0o600)
            return made

    def claim(self, seed: Seed) -> x509.Certificate:
        """The claim certificate: the seed's slot key vouches for this node's key, the only use that key ever has."""
        slot_key = load_key(seed.slot.key)
        assert slot_key is not None, "a seed that was verified has its slot's key"
        role = SlotRole(seed.site.id, seed.slot.number, seed.slot.seed_id, self.node_id)
        slot = Issuer(load_certificate(seed.slot.certificate), slot_key)
        return certificates.issue(slot, self.node_id, self.key.public_key(), [role.dns_name])

    def credentials(self, seed: Seed, claim: x509.Certificate) -> Credentials:
        """What this node shows as the claimant of its slot, to others of its site."""
        chain = certificates.pem(claim) + seed.slot.certificate
        return Credentials(chain, self.pem, seed.site.root_certificate)


def load_claim(path: Path, seed: Seed, node_id: str) -> x509.Certificate | None:
    """The claim certificate in the file; None without one, or when it is not this node's for this seed."""
    try:
        claim = load_certificate(path.read_bytes())
        verify_claim(claim, seed, node_id)
    except (FileNotFoundError, BadInputError):
        return None
    return claim
