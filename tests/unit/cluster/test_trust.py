"""The chain of trust of a seed: what proves a slot, and every way in which it does not."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from builder.site.root import SiteRoot, create_root
from firstboot.cluster.certificates import create_authority, issue, new_key, pem
from firstboot.cluster.trust import (
    MemberRole,
    OperatorRole,
    SlotRole,
    issued_by,
    key_id,
    load_certificate,
    role_of,
    verify_claim,
    verify_seed,
)
from firstboot.errors import BadInputError
from firstboot.nodekey import NodeKey
from firstboot.plan import DiskRule
from firstboot.seed import Overrides, Seed, decode, encode
from tests.unit.site.seeds import small_seed

SEED_ID = "0123456789abcdef0123456789abcdef"
DOMAIN = "trivet.internal"


@pytest.fixture(scope="module")
def root() -> SiteRoot:
    return create_root("trio")


@pytest.fixture(scope="module")
def other() -> SiteRoot:
    return create_root("trio")


def with_slot(seed: Seed, **changes: object) -> Seed:
    return seed.model_copy(update={"slot": seed.slot.model_copy(update=changes)})


def with_site(seed: Seed, **changes: object) -> Seed:
    return seed.model_copy(update={"site": seed.site.model_copy(update=changes)})


def test_key_id_is_half_a_sha256_of_the_public_key(root: SiteRoot) -> None:
    der = root.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert key_id(root.key.public_key()) == hashlib.sha256(der).hexdigest()[:32]
    assert key_id(root.certificate.public_key()) == root.site_id


def claimed(root: SiteRoot, key: NodeKey | None = None) -> tuple[x509.Certificate, NodeKey, Seed]:
    key, seed = key or NodeKey(new_key()), small_seed(root, number=2)
    return key.claim(seed), key, seed


def test_roles(root: SiteRoot) -> None:
    certificate, key, seed = claimed(root)
    role = SlotRole(root.site_id, 2, seed.slot.seed_id, key.node_id)
    assert role_of(certificate) == role_of(pem(certificate)) == role
    assert role_of(certificate.public_bytes(Encoding.DER)) == role
    assert role_of(root.issue_operator().certificate) == OperatorRole(root.site_id)
    authority = create_authority("trio cluster authority", path_length=0)
    member = MemberRole(root.site_id, key.node_id)
    issued = issue(authority, key.node_id, key.key.public_key(), [member.dns_name, "node2.trio.trivet.internal"])
    assert role_of(issued) == member


@pytest.mark.parametrize("of", ["root", "slot"])
def test_authorities_are_nobodys_own(root: SiteRoot, of: str) -> None:
    certificate = root.certificate if of == "root" else load_certificate(root.issue_slot(1, SEED_ID).certificate)
    with pytest.raises(BadInputError, match="is an authority"):
        role_of(certificate)


@pytest.mark.parametrize(
    "names",
    [
        [],
        [f"operator.nothex.{DOMAIN}"],
        [f"operator.{SEED_ID}.{DOMAIN}.example"],
        [f"{{node}}.{SEED_ID}.slot-0.{SEED_ID}.{DOMAIN}"],
        [f"{{node}}.{SEED_ID}.slot-1.{DOMAIN}"],
        [f"more.{{node}}.{SEED_ID}.slot-1.{SEED_ID}.{DOMAIN}"],
        [f"operator.{SEED_ID}.{DOMAIN}", f"{{node}}.members.{SEED_ID}.{DOMAIN}"],
    ],
)
def test_other_names_are_no_role(root: SiteRoot, names: list[str]) -> None:
    key = NodeKey(new_key())
    given = [name.format(node=key.node_id) for name in names]
    with pytest.raises(BadInputError, match=r"names [02] holders, not one"):
        role_of(issue(root, "odd", key.key.public_key(), given))


def test_a_node_id_is_that_of_the_certificates_own_key(root: SiteRoot) -> None:
    other = NodeKey(new_key()).node_id
    name = SlotRole(root.site_id, 1, SEED_ID, other).dns_name
    with pytest.raises(BadInputError, match="whose key is another one"):
        role_of(issue(root, other, new_key().public_key(), [name]))


def test_a_claim_is_of_this_node_and_this_seed(root: SiteRoot) -> None:
    certificate, key, seed = claimed(root)
    verify_claim(certificate, seed, key.node_id)
    with pytest.raises(BadInputError, match="but this node is"):
        verify_claim(certificate, seed, NodeKey(new_key()).node_id)
    again, _, _ = claimed(root, key)
    with pytest.raises(BadInputError, match="not signed with the seed's slot key"):
        verify_claim(again, seed, key.node_id)


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_unreadable_certificate(text: str) -> None:
    with pytest.raises(BadInputError, match="can't be read"):
        load_certificate(text)


def test_huge_certificate() -> None:
    with pytest.raises(BadInputError, match="larger"):
        load_certificate("x" * 20_000)


def test_a_good_seed_verifies_also_after_its_trip_through_a_file(root: SiteRoot) -> None:
    seed = small_seed(root, number=3, overrides=Overrides(disks={"data": DiskRule()}))
    verify_seed(seed)
    verify_seed(decode(encode(seed), source="seed.json"))


def test_root_of_another_site_under_our_id(root: SiteRoot, other: SiteRoot) -> None:
    with pytest.raises(BadInputError, match="site root certificate is not of site"):
        verify_seed(with_site(small_seed(root), root_certificate=other.certificate_pem))


def test_slot_of_another_site(root: SiteRoot, other: SiteRoot) -> None:
    foreign = other.issue_slot(1, SEED_ID)
    seed = with_slot(small_seed(root), certificate=foreign.certificate, key=foreign.key, seed_id=SEED_ID)
    with pytest.raises(BadInputError, match="not signed by the root of site trio"):
        verify_seed(seed)


def test_a_slot_certificate_is_no_authority(root: SiteRoot) -> None:
    seed = small_seed(root)
    certificate = load_certificate(seed.slot.certificate)
    assert not issued_by(certificate, certificate)
    forged = with_site(seed, root_certificate=seed.slot.certificate, id=key_id(certificate.public_key()))
    with pytest.raises(BadInputError, match="not a self-signed authority"):
        verify_seed(forged)


def test_number_changed(root: SiteRoot) -> None:
    with pytest.raises(BadInputError, match=r"is for \w*\.slot-1\..*, but the seed is for \w*\.slot-2\."):
        verify_seed(with_slot(small_seed(root), number=2))


def test_seed_id_changed(root: SiteRoot) -> None:
    with pytest.raises(BadInputError, match="but the seed is for"):
        verify_seed(with_slot(small_seed(root), seed_id=SEED_ID))


def test_key_of_another_slot(root: SiteRoot) -> None:
    with pytest.raises(BadInputError, match="is not the slot certificate's"):
        verify_seed(with_slot(small_seed(root), key=small_seed(root).slot.key))


def test_key_damaged(root: SiteRoot) -> None:
    with pytest.raises(BadInputError, match="key can't be read"):
        verify_seed(with_slot(small_seed(root), key="-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n"))


def test_operator_is_no_slot(root: SiteRoot) -> None:
    issued = root.issue_operator()
    with pytest.raises(BadInputError, match="can't vouch for a node's key"):
        verify_seed(with_slot(small_seed(root), certificate=issued.certificate, key=issued.key))


def test_root_as_slot(root: SiteRoot) -> None:
    seed = with_slot(small_seed(root), certificate=root.certificate_pem, key=root.key_pem(None))
    with pytest.raises(BadInputError, match="can't vouch for a node's key"):
        verify_seed(seed)


def test_slot_that_the_plan_does_not_have(root: SiteRoot) -> None:
    with pytest.raises(BadInputError, match=r"for slot 4, but its plan has slots \[1, 2, 3\]"):
        verify_seed(small_seed(root, number=4))


def test_override_of_a_brick_class_that_the_plan_does_not_have(root: SiteRoot) -> None:
    with pytest.raises(BadInputError, match="brick class nvme"):
        verify_seed(small_seed(root, overrides=Overrides(disks={"nvme": DiskRule()})))


def test_certificates_pass_strict_verification(root: SiteRoot) -> None:
    """What OpenSSL's X509_V_FLAG_X509_STRICT asks for: Python 3.13 sets it on every default context."""
    leaf, _, seed = claimed(root)
    for certificate in (root.certificate, load_certificate(seed.slot.certificate), leaf):
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).critical
        assert certificate.extensions.get_extension_for_class(x509.KeyUsage).critical
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
