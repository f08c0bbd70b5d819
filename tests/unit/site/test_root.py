"""The site root: what it makes can be unlocked again, and by nobody without the passphrase."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from builder.site.root import create_root, load_root, new_seed_id
from firstboot.cluster.trust import issued_by, load_certificate
from firstboot.errors import BadInputError


def test_the_root_is_named_for_the_site_and_long_lived() -> None:
    certificate = create_root("rack1").certificate
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "rack1 site root"
    assert certificate.not_valid_before_utc == datetime(2020, 1, 1, tzinfo=UTC)
    assert certificate.not_valid_after_utc.year == 2099


def test_leaf_certificates() -> None:
    root = create_root("rack1")
    slot = load_certificate(root.issue_slot(7, new_seed_id()).certificate)
    operator = load_certificate(root.issue_operator().certificate)
    assert slot.subject.rfc4514_string() == "CN=slot-7"
    assert operator.subject.rfc4514_string() == "CN=operator"
    assert issued_by(slot, root.certificate)
    assert issued_by(operator, root.certificate)
    both = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert set(slot.extensions.get_extension_for_class(ExtendedKeyUsage).value) == both
    only_client = {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert set(operator.extensions.get_extension_for_class(ExtendedKeyUsage).value) == only_client


def test_a_root_without_passphrase_is_loaded_again() -> None:
    root = create_root("rack1")
    again = load_root(root.certificate_pem, root.key_pem(None), site_id=root.site_id, passphrase=None)
    assert again.site_id == root.site_id


def test_a_root_with_passphrase() -> None:
    root = create_root("rack1")
    pem = root.key_pem("correct horse")
    assert "ENCRYPTED" in pem
    assert (
        load_root(root.certificate_pem, pem, site_id=root.site_id, passphrase="correct horse").site_id == root.site_id
    )
    for wrong in ("battery staple", None):
        with pytest.raises(BadInputError, match="can't be"):
            load_root(root.certificate_pem, pem, site_id=root.site_id, passphrase=wrong)


def test_files_of_two_sites_mixed_up() -> None:
    root, other = create_root("rack1"), create_root("rack1")
    with pytest.raises(BadInputError, match="not the key of its certificate"):
        load_root(root.certificate_pem, other.key_pem(None), site_id=root.site_id, passphrase=None)
    with pytest.raises(BadInputError, match="is not of site"):
        load_root(other.certificate_pem, other.key_pem(None), site_id=root.site_id, passphrase=None)


def test_keys_are_not_in_representations() -> None:
    root = create_root("rack1")
    issued = root.issue_operator()
    assert "PRIVATE" not in repr(issued)
    assert "key=" not in repr(root)
