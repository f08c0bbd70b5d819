"""Votes: given once, durable, bound to the site."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster.ballots import Attempt, Proposal, Ready, Votes
from firstboot.cluster.claims import Ballot, ClaimsDocument
from firstboot.cluster.core import PATIENCE
from firstboot.cluster.events import Granted, Held, Identity, NoSlot, NotYours
from firstboot.cluster.votes import consider
from firstboot.errors import BadInputError, RefusedError

SITE = "c" * 32
OWN, A, B = "e" * 32, "a" * 32, "b" * 32
SLOTS = frozenset({1, 2})
NAMES = {1: "node1", 2: "node2", 3: "node3"}


def ballot(path: Path, *, founder: int | None = None, own: str = OWN, clock: list[float] | None = None) -> Ballot:
    """The votes of slot 3's node."""
    time_s = clock or [0.0]
    identity = Identity(3, own, "5" * 32, NAMES, run="1" * 32)
    return Ballot(path, identity, site_id=SITE, clock=lambda: time_s[0], founder=founder)


def refusal(answer: object) -> tuple[str, str]:
    assert isinstance(answer, Held)
    return answer.incumbent, answer.why


def test_a_vote_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    assert ballot(path).claim(1, 1, A) == Granted({1: A, 3: OWN}, changed=True)
    assert ballot(path).claims == {1: A, 3: OWN}
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_incumbent_stays_and_the_claimant_is_told_why(tmp_path: Path) -> None:
    votes = ballot(tmp_path / "claims.json")
    votes.claim(1, 1, A)
    incumbent, why = refusal(votes.claim(1, 1, B))
    assert incumbent == A
    assert why.startswith("that node was heard of 0 s ago")
    assert votes.claim(1, 1, A) == Granted({1: A, 3: OWN}, changed=False)
    assert votes.claims == {1: A, 3: OWN}


def test_one_node_holds_one_slot(tmp_path: Path) -> None:
    votes = ballot(tmp_path / "claims.json")
    votes.claim(1, 1, A)
    assert refusal(votes.claim(2, 2, A))[0] == A


def test_a_slot_that_is_not_of_the_site(tmp_path: Path) -> None:
    assert ballot(tmp_path / "claims.json").claim(7, 7, A) == NoSlot()


def test_a_slot_that_is_not_the_senders(tmp_path: Path) -> None:
    votes = ballot(tmp_path / "claims.json")
    assert votes.claim(2, 1, A) == NotYours()
    assert votes.claims == {3: OWN}


def test_a_vote_that_can_not_be_written_is_not_given(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    votes = ballot(folder / "claims.json")
    folder.rename(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        votes.claim(1, 1, A)
    assert votes.claims == {3: OWN}
    (tmp_path / "gone").rename(folder)
    assert isinstance(votes.claim(1, 1, A), Granted)


def test_an_agreement_and_a_decision_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    clock = [0.0]
    votes = ballot(path, clock=clock)
    votes.claim(1, 1, A)
    for _ in range(30):
        clock[0] += PATIENCE.release_after_s / 20
        votes.claim(1, 1, B)
    assert votes.votes.releases == {1: B}
    assert ClaimsDocument.model_validate_json(path.read_text()).releases == {1: B}
    decided = ballot(path, founder=1)
    assert "an operator must release the slot" in refusal(decided.claim(1, 1, "d" * 32))[1]


def test_a_copy_of_another_nodes_votes_is_refused(tmp_path: Path) -> None:
    ballot(tmp_path / "claims.json")
    with pytest.raises(RefusedError, match="voted for another node to hold its own slot 3"):
        ballot(tmp_path / "claims.json", own=A)


def test_everything_that_was_voted_is_read_again(tmp_path: Path) -> None:
    attempt = Attempt(2, (1,), A)
    ready = Ready(attempt, Proposal({2: B, 3: OWN}, {2: "5" * 32, 3: "6" * 32}, "7" * 32))
    votes = Votes({1: A, 2: B, 3: OWN}, {1: "d" * 32}, attempt, ready, "8" * 32, 2)
    document = ClaimsDocument.of(SITE, votes)
    assert ClaimsDocument.model_validate_json(document.model_dump_json()).votes == votes


def test_a_slot_is_left_out_once_its_machine_was_silent_for_long_enough(tmp_path: Path) -> None:
    path, clock = tmp_path / "claims.json", [0.0]
    votes = ballot(path, clock=clock)
    with pytest.raises(RefusedError, match=r"this node began to listen 0 s ago; 60 s are needed"):
        votes.leave_out([1])
    for _ in range(4):
        clock[0] += PATIENCE.grace_s / 3
        votes.standing()
    with pytest.raises(RefusedError, match=r"1 of 3 slots are not more than half"):
        votes.leave_out([1, 2])
    with pytest.raises(RefusedError, match=r"slot 3 \(node3\) is this machine's own"):
        votes.leave_out([3])
    with pytest.raises(RefusedError, match=r"the site has no slot 9"):
        votes.leave_out([9])
    assert votes.leave_out([1]) == Attempt(1, (1,), OWN)
    assert votes.leave_out([1]) == Attempt(1, (1,), OWN)
    assert ballot(path).votes.attempt == Attempt(1, (1,), OWN)


def test_a_machine_that_appears_is_taken_in_again(tmp_path: Path) -> None:
    clock = [0.0]
    votes = ballot(tmp_path / "claims.json", clock=clock)
    for _ in range(4):
        clock[0] += PATIENCE.grace_s / 3
        votes.standing()
    votes.leave_out([1])
    assert isinstance(votes.claim(1, 1, A), Granted)
    assert votes.votes.attempt == Attempt(2, (), OWN)


def test_nothing_is_left_out_of_a_founded_cluster(tmp_path: Path) -> None:
    votes = ballot(tmp_path / "claims.json", founder=1)
    with pytest.raises(RefusedError, match="founded already"):
        votes.leave_out([1])


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
        ('{"format": "trivet-claims", "version": "1.1", "site_id": "' + SITE + '"}', r"version 1\.1"),
        ('{"format": "trivet-claims", "version": "2.0", "site_id": "' + "d" * 32 + '"}', "are of site"),
    ],
)
def test_votes_that_can_not_be_read_are_not_given_again(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "claims.json"
    path.write_text(content)
    with pytest.raises(BadInputError, match=words):
        ballot(path)
