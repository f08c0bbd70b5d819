"""The chain of trust of a seed: what proves a slot, and every way in which it does not."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from builder.site.root import SiteRoot, create_root
from firstboot.cluster.trust import (
    OperatorRole,
    SlotRole,
    issued_by,
    key_id,
    load_certificate,
    role_of,
    verify_seed,
)
from firstboot.errors import BadInputError
from firstboot.plan import DiskRule
from firstboot.seed import Overrides, Seed, decode, encode
from tests.unit.site.seeds import small_seed

SEED_ID = "0123456789abcdef0123456789abcdef"


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


def test_roles(root: SiteRoot) -> None:
    slot = root.issue_slot(12, SEED_ID).certificate
    assert role_of(slot) == SlotRole(root.site_id, 12, SEED_ID)
    assert role_of(load_certificate(slot).public_bytes(Encoding.DER)) == SlotRole(root.site_id, 12, SEED_ID)
    assert role_of(root.issue_operator().certificate) == OperatorRole(root.site_id)


def test_the_root_itself_has_no_role(root: SiteRoot) -> None:
    with pytest.raises(BadInputError, match="has 0 URI names"):
        role_of(root.certificate)


@pytest.mark.parametrize(
    "uri",
    [
        "trivet:nothex:operator",
        f"trivet:{SEED_ID}:slot:0:{SEED_ID}",
        f"trivet:{SEED_ID}:slot:1:{SEED_ID}:more",
        f"spiffe://{SEED_ID}/slot/1",
        f"trivet:{SEED_ID}:operator\n",
    ],
)
def test_other_names_are_no_role(root: SiteRoot, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SlotRole, "uri", uri)
    with pytest.raises(BadInputError, match="names no slot or operator"):
        role_of(root.issue_slot(1, SEED_ID).certificate)


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
    with pytest.raises(BadInputError, match=r"is for trivet:.*:slot:1:.*, but the seed is for .*:slot:2:"):
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
    with pytest.raises(BadInputError, match="can't be used for mutual TLS"):
        verify_seed(with_slot(small_seed(root), certificate=issued.certificate, key=issued.key))


def test_root_as_slot(root: SiteRoot) -> None:
    seed = with_slot(small_seed(root), certificate=root.certificate_pem, key=root.key_pem(None))
    with pytest.raises(BadInputError, match="is an authority, not a slot's"):
        verify_seed(seed)


def test_slot_that_the_plan_does_not_have(root: SiteRoot) -> None:
    with pytest.raises(BadInputError, match=r"for slot 4, but its plan has slots \[1, 2, 3\]"):
        verify_seed(small_seed(root, number=4))


def test_override_of_a_brick_class_that_the_plan_does_not_have(root: SiteRoot) -> None:
    with pytest.raises(BadInputError, match="brick class nvme"):
        verify_seed(small_seed(root, overrides=Overrides(disks={"nvme": DiskRule()})))


def test_certificates_pass_strict_verification(root: SiteRoot) -> None:
    """What OpenSSL's X509_V_FLAG_X509_STRICT asks for: Python 3.13 sets it on every default context."""
    leaf = load_certificate(root.issue_slot(1, SEED_ID).certificate)
    for certificate in (root.certificate, leaf):
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).critical
        assert certificate.extensions.get_extension_for_class(x509.KeyUsage).critical
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
