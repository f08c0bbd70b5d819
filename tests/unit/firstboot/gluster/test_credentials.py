"""Key, certificate and authorities: what does not fit is named, with its true cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from firstboot.cluster import authority as authorities
from firstboot.cluster.authority import LIFE, Authority
from firstboot.cluster.certificates import new_key, pem
from firstboot.errors import TrivetError
from firstboot.gluster.credentials import Material, verify
from firstboot.nodekey import NodeKey

SITE = "a" * 32
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
AUTHORITY, OTHER = authorities.create("demo"), authorities.create("demo")
KEY = NodeKey(new_key())


def certificate(key: NodeKey = KEY, by: Authority = AUTHORITY) -> bytes:
    return pem(authorities.issue_member(by, SITE, key.key.public_key(), ("node1",), NOW)).encode()


MATERIAL = Material(KEY.pem.encode(), certificate(), AUTHORITY.trusted_pem.encode())


def test_what_fits_is_proved() -> None:
    proof = verify(MATERIAL, KEY.node_id, NOW)
    assert proof.authority == AUTHORITY.certificate
    assert proof.certificate.not_valid_after_utc == NOW + LIFE


def test_an_older_authority_is_as_good_while_it_is_trusted() -> None:
    both = (OTHER.trusted_pem + AUTHORITY.trusted_pem).encode()
    assert verify(replace(MATERIAL, trusted=both), KEY.node_id, NOW).authority == AUTHORITY.certificate


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": None}, r"node\.key is not there: glusterd is not started"),
        ({"certificate": None}, r"node\.pem is not there: glusterd is not started"),
        ({"trusted": None}, r"authority/trusted\.pem is not there"),
        ({"key": b"scrap"}, r"node\.key is no private key"),
        ({"certificate": b"scrap"}, r"node\.pem has no certificate that can be read"),
        ({"trusted": b""}, r"trusted\.pem has no certificate that can be read"),
        ({"key": NodeKey(new_key()).pem.encode()}, "don't belong together: the certificate is of another key"),
        ({"certificate": certificate(by=OTHER)}, r"of another authority than those of .*\(demo cluster authority\)"),
        ({"trusted": OTHER.trusted_pem.encode()}, "of another authority"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, bytes | None], words: str) -> None:
    with pytest.raises(TrivetError, match=words) as caught:
        verify(replace(MATERIAL, **change), KEY.node_id, NOW)  # type: ignore[arg-type]
    assert caught.value.hint


def test_of_another_node() -> None:
    other = NodeKey(new_key())
    material = replace(MATERIAL, key=other.pem.encode(), certificate=certificate(other))
    with pytest.raises(TrivetError, match=f"is of node {other.node_id}, not of {KEY.node_id}"):
        verify(material, KEY.node_id, NOW)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (
            NOW + LIFE + timedelta(minutes=1),
            r"node\.pem expired on 2028-10-31 12:00 UTC; it is 2028-10-31 12:01 here",
        ),
        (datetime(1970, 1, 1, tzinfo=UTC), "not valid before 2020-01-01 00:00 UTC; it is 1970-01-01 00:00 here"),
    ],
)
def test_the_clock_counts(now: datetime, words: str) -> None:
    with pytest.raises(TrivetError, match=words) as caught:
        verify(MATERIAL, KEY.node_id, now)
    assert "set the clock if it is wrong" in caught.value.hint
