"""Votes: given once, durable, bound to the site."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster.claims import Ballot, Granted, Held, NoSlot, consider
from firstboot.errors import BadInputError

SITE = "c" * 32
A, B = "a" * 32, "b" * 32
SLOTS = frozenset({1, 2})


def ballot(path: Path) -> Ballot:
    return Ballot(path, site_id=SITE, slots=SLOTS)


def test_a_vote_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    assert ballot(path).claim(1, A) == Granted({1: A}, changed=True)
    assert ballot(path).claims == {1: A}
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_incumbent_stays(tmp_path: Path) -> None:
    votes = ballot(tmp_path / "claims.json")
    votes.claim(1, A)
    assert votes.claim(1, B) == Held(A)
    assert votes.claim(1, A) == Granted({1: A}, changed=False)
    assert votes.claims == {1: A}


def test_one_node_holds_one_slot(tmp_path: Path) -> None:
    votes = ballot(tmp_path / "claims.json")
    votes.claim(1, A)
    assert votes.claim(2, A) == Held(A)


def test_a_slot_that_is_not_of_the_site(tmp_path: Path) -> None:
    assert ballot(tmp_path / "claims.json").claim(7, A) == NoSlot()


def test_a_vote_that_can_not_be_written_is_not_given(tmp_path: Path) -> None:
    votes = ballot(tmp_path / "gone" / "claims.json")
    with pytest.raises(FileNotFoundError):
        votes.claim(1, A)
    assert votes.claims == {}


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([A, B, "d" * 32]))))
def test_votes_never_change(requests: list[tuple[int, str]]) -> None:
    claims: dict[int, str] = {}
    for slot, node in requests:
        answer = consider(claims, SLOTS, slot, node)
        if isinstance(answer, Granted):
            assert claims.items() <= answer.claims.items()
            claims = answer.claims
    assert set(claims) <= SLOTS
    assert len(set(claims.values())) == len(claims)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "damaged"),
        ('{"format": "trivet-claims", "version": "2.0", "site_id": "' + SITE + '"}', r"version 2\.0"),
        ('{"format": "trivet-claims", "version": "1.0", "site_id": "' + "d" * 32 + '"}', "are of site"),
    ],
)
def test_votes_that_can_not_be_read_are_not_given_again(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "claims.json"
    path.write_text(content)
    with pytest.raises(BadInputError, match=words):
        ballot(path)
