"""The cluster authority: what it issues, when that is renewed, how it is kept and read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from firstboot.cluster import authority as authorities
from firstboot.cluster.authority import LIFE, RENEW_LEFT, Authority
from firstboot.cluster.certificates import issue, new_key, pem
from firstboot.cluster.trust import MemberRole, issued_by
from firstboot.errors import BadInputError, RefusedError
from firstboot.nodekey import NodeKey

SITE = "a" * 32
NAMES = ("node1.demo.trivet.internal", "node1")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
AUTHORITY = authorities.create("demo")
KEY = NodeKey(new_key())
ROLE = MemberRole(SITE, KEY.node_id)


def issued(now: datetime = NOW, by: Authority = AUTHORITY, names: tuple[str, ...] = NAMES) -> x509.Certificate:
    return authorities.issue_member(by, SITE, KEY.key.public_key(), names, now)


def test_a_members_certificate_has_its_node_id_and_names() -> None:
    certificate = issued()
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == KEY.node_id
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert held.get_values_for_type(x509.DNSName) == [ROLE.dns_name, *NAMES]
    assert certificate.not_valid_before_utc.year == 2020, "backdated"
    assert certificate.not_valid_after_utc == NOW + LIFE
    assert issued_by(certificate, AUTHORITY.certificate)


def test_it_lives_as_long_when_the_clock_says_1970() -> None:
    assert issued(datetime(1970, 1, 1, tzinfo=UTC)).not_valid_after_utc == datetime(2020, 1, 1, tzinfo=UTC) + LIFE


@pytest.mark.parametrize(
    ("later", "why"),
    [
        (timedelta(0), None),
        (LIFE - RENEW_LEFT - timedelta(seconds=1), None),
        (LIFE - RENEW_LEFT + timedelta(seconds=1), "it ends on 2028-"),
        (LIFE * 3, "it ends on 2028-"),
    ],
)
def test_it_is_renewed_long_before_its_end(later: timedelta, why: str | None) -> None:
    found = authorities.stale(issued(), AUTHORITY, ROLE, NAMES, NOW + later)
    assert (found or "").startswith(why or "")
    assert (found is None) == (why is None)


def test_it_is_issued_anew_for_another_authority_another_name_another_node() -> None:
    assert authorities.stale(issued(), authorities.create("demo"), ROLE, NAMES, NOW) == (
        "it is of another cluster authority"
    )
    assert authorities.stale(issued(), AUTHORITY, ROLE, (*NAMES, "more"), NOW) == "this node's names changed"
    other = MemberRole(SITE, NodeKey(new_key()).node_id)
    assert authorities.stale(issued(), AUTHORITY, other, NAMES, NOW) == "it is another node's"
    nobody = issue(AUTHORITY, "x", KEY.key.public_key(), ["x.example"])
    assert "names 0 holders" in (authorities.stale(nobody, AUTHORITY, ROLE, NAMES, NOW) or "")


def test_it_is_kept_with_closed_modes_and_read_again(tmp_path: Path) -> None:
    issuer, trusted = tmp_path / "authority" / "authority.pem", tmp_path / "authority" / "trusted.pem"
    assert authorities.load(issuer, trusted) is None
    older = authorities.create("demo")
    authority = Authority(AUTHORITY.certificate, AUTHORITY.key, (AUTHORITY.certificate, older.certificate))
    authorities.save(authority, issuer, trusted)
    assert issuer.parent.stat().st_mode & 0o777 == 0o700
    assert issuer.stat().st_mode & 0o777 == 0o600
    again = authorities.load(issuer, trusted)
    assert again is not None
    assert again.trusted == authority.trusted
    assert again.fingerprint == AUTHORITY.fingerprint
    assert "PRIVATE" not in repr(again)
    assert "PRIVATE" not in trusted.read_text()


@pytest.mark.parametrize(
    ("issuer", "trusted", "words"),
    [
        ("", AUTHORITY.certificate_pem, "can't be read"),
        (AUTHORITY.certificate_pem, AUTHORITY.certificate_pem, "key is not its certificate's"),
        (AUTHORITY.certificate_pem + KEY.pem, AUTHORITY.certificate_pem, "key is not its certificate's"),
        (pem(issued()) + KEY.pem, pem(issued()), "not signed by itself"),
        (AUTHORITY.issuer_pem, "", "not among the trusted"),
        (AUTHORITY.issuer_pem, authorities.create("demo").certificate_pem, "not among the trusted"),
        (AUTHORITY.issuer_pem, AUTHORITY.certificate_pem * 10, "not among the trusted"),
    ],
)
def test_what_is_none_is_refused(tmp_path: Path, issuer: str, trusted: str, words: str) -> None:
    files = tmp_path / "authority.pem", tmp_path / "trusted.pem"
    for path, text in zip(files, (issuer, trusted), strict=True):
        path.write_text(text)
    with pytest.raises(RefusedError, match=words):
        authorities.load(*files)
    with pytest.raises(BadInputError, match=words):
        authorities.read(issuer, authorities.split_pem(trusted))
