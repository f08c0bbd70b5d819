"""The register over files and threads: councils that call each other, what a restart keeps, and the wire's form."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from firstboot.cluster.admission import Admitted, Pending, Sponsor
from firstboot.cluster.bids import (
    Accept,
    Accepted,
    Bid,
    Busy,
    Consent,
    Learn,
    Learnt,
    Newer,
    Prepare,
    Promise,
    Question,
    Reaction,
    Rejected,
)
from firstboot.cluster.changes import ClaimSlot, Refusal, RotateAuthority
from firstboot.cluster.council import Council, NotMadeError, RegisterDocument
from firstboot.cluster.members import MAX_REMOVED, Members, Removed
from firstboot.cluster.proposer import Timing
from firstboot.cluster.questions import (
    MAX_BYTES,
    question_document,
    reaction_document,
    read_question,
    read_reaction,
)
from firstboot.errors import BadInputError, RefusedError, TrivetError
from tests.unit.cluster.documents import founded, node, seed

SITE = "c" * 32
A, B = "a" * 32, "b" * 32
TIMING = Timing(round_s=5, pause_s=0.05, longest_pause_s=0.2, give_up_s=60)


class Yard:
    """Councils in one process; calls go through the wire's form."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.timing = TIMING
        self.councils: dict[str, Council] = {}
        self.epochs: list[int] = []

    def start(self, slot: int, members: Members | None = None, *, expected: bool = False) -> Council:
        council = Council(
            self.folder / f"register{slot}.json",
            node(slot),
            site_id=SITE,
            clock=time.monotonic,
            call=lambda callee, question: self._call(node(slot), callee, question),
            changed=lambda known: self.epochs.append(known.epoch),
            expected=expected,
            timing=self.timing,
        )
        self.councils[node(slot)] = council
        if members is not None:
            council.learn(members)
        return council

    def stop(self, slot: int) -> None:
        self.councils.pop(node(slot)).close()

    def _call(self, caller: str, callee: str, question: Question) -> Reaction:
        council = self.councils.get(callee)
        if council is None:
            raise TrivetError("no route to host")
        body = question_document(question).model_dump(mode="json", exclude_none=True)
        reaction = council.answer(caller, read_question(json.loads(json.dumps(body))))
        return read_reaction(reaction_document(reaction).model_dump_json(exclude_none=True).encode())


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    yield yard
    for council in yard.councils.values():
        council.close()


def test_a_change_through_files_and_wire(yard: Yard) -> None:
    first, second, third = (yard.start(slot, founded()) for slot in (1, 2, 3))
    made = second.make(RotateAuthority(A, ""))
    assert (made.epoch, made.authorities) == (2, (A,))
    assert first.make(None) == made
    with pytest.raises(RefusedError, match="the newest authority is aaaaaaaaaaaa, not none"):
        third.make(RotateAuthority(B, ""))
    assert yard.epochs.count(1) == 3


def test_the_founder_destroyed(yard: Yard) -> None:
    yard.start(1, founded())
    second = yard.start(2, founded())
    yard.start(3, founded())
    yard.stop(1)
    assert second.make(RotateAuthority(A, "")).epoch == 2


def test_a_minority_is_told_why(yard: Yard) -> None:
    yard.timing = replace(TIMING, give_up_s=1.5)
    alone = yard.start(1, founded())
    told: list[str] = []
    with pytest.raises(NotMadeError, match=r"1 of 3 members answered, .* \(node2: no route to host; node3:") as error:
        alone.make(RotateAuthority(A, ""), told.append)
    assert not error.value.open
    assert error.value.hint == "nothing was changed"
    assert told


def test_a_restart_keeps_what_was_promised(yard: Yard) -> None:
    council = yard.start(1, founded())
    bid = Bid(3, node(2))
    assert council.answer(node(2), Prepare(founded(), bid)) == Promise(bid, None)
    after = RotateAuthority(A, "").apply(founded())
    assert isinstance(after, Members)
    assert council.answer(node(2), Accept(founded(), bid, after)) == Consent(bid)
    yard.stop(1)
    again = yard.start(1)
    assert again.members == founded()
    assert again.answer(node(3), Prepare(founded(), Bid(2, node(3)))) == Busy(bid)
    assert again.answer(node(3), Prepare(founded(), Bid(4, node(3)))) == Promise(
        Bid(4, node(3)), Accepted(bid, after)
    )
    assert (yard.folder / "register1.json").stat().st_mode & 0o777 == 0o600


def test_a_register_that_is_gone_is_not_begun_anew(yard: Yard) -> None:
    with pytest.raises(RefusedError, match="is gone"):
        yard.start(1, expected=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "damaged"),
        (RegisterDocument(site_id="d" * 32).model_dump_json(), "are? of site|is of site"),
        ('{"format": "trivet-register", "version": "2.0"}', r"format version 2\.0"),
    ],
)
def test_a_register_that_can_not_be_read_is_refused(yard: Yard, content: str, words: str) -> None:
    (yard.folder / "register1.json").write_text(content)
    with pytest.raises(BadInputError, match=words):
        yard.start(1)


def test_what_can_not_be_written_is_not_promised(yard: Yard, tmp_path: Path) -> None:
    yard.folder = tmp_path / "here"
    yard.folder.mkdir()
    council = yard.start(1, founded())
    yard.folder.rename(tmp_path / "gone")
    question = Prepare(founded(), Bid(1, node(2)))
    assert council.answer(node(2), question) == Rejected("it could not be written to disk")
    (tmp_path / "gone").rename(yard.folder)
    assert council.answer(node(2), question) == Promise(Bid(1, node(2)), None)


def test_who_comes_later_is_admitted(yard: Yard) -> None:
    members = founded(3, without=(3,))
    first, second = yard.start(1, members), yard.start(2, members)
    claim = ClaimSlot(3, seed(3), node(3))
    assert second.admit(claim, [1]) == Pending(1, "node1")
    assert first.admit(claim, [2]) == Sponsor(claim)
    assert first.make(None).nodes[node(3)] == 3
    assert first.admit(claim, [2]) == Admitted()
    assert isinstance(first.admit(ClaimSlot(3, seed(3), node(3, 1)), [2]), Refusal)
    assert yard.start(9).admit(claim, []) is None


DOCUMENT = founded()
QUESTIONS = [Prepare(DOCUMENT, Bid(1, A)), Accept(DOCUMENT, Bid(1, A), DOCUMENT), Learn(DOCUMENT)]
REACTIONS = [
    Promise(Bid(1, A), None),
    Promise(Bid(2, A), Accepted(Bid(1, B), DOCUMENT)),
    Consent(Bid(1, A)),
    Busy(Bid(1, A)),
    Newer(DOCUMENT),
    Learnt(7),
    Rejected("no"),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: type(question).__name__)
def test_questions_come_through_the_wire(question: Question) -> None:
    assert read_question(question_document(question).model_dump(mode="json", exclude_none=True)) == question


@pytest.mark.parametrize("reaction", REACTIONS, ids=lambda reaction: type(reaction).__name__)
def test_answers_come_through_the_wire(reaction: Reaction) -> None:
    assert read_reaction(reaction_document(reaction).model_dump_json(exclude_none=True).encode()) == reaction


def test_what_is_not_one_question_is_refused() -> None:
    for body in (None, [], {}, {"format": "trivet-question", "version": "1.0"}, {"prepare": 1}):
        with pytest.raises(BadInputError):
            read_question(body)
    both = question_document(QUESTIONS[0]).model_copy(update={"learn": QUESTIONS[2]})
    with pytest.raises(BadInputError, match="exactly one"):
        read_question(both.model_dump(mode="json"))


def test_the_largest_documents_fit() -> None:
    record = replace(founded(300).slots[300], zone="z" * 64, address="2" * 64, only=None)
    slots = {
        slot: replace(record, name=f"n{slot:030d}", node_id=node(slot), seed_id=seed(slot)) for slot in range(1, 301)
    }
    removed = {f"{n:032x}": Removed(300, f"9{n:031x}", 10**9) for n in range(MAX_REMOVED)}
    largest = Members(A, 10**9, slots, removed, tuple(f"{n:032x}" for n in range(8)))
    body = question_document(Accept(largest, Bid(1, A), largest)).model_dump_json()
    assert len(body) < MAX_BYTES
