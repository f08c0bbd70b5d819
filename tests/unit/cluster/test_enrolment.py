"""Who gets the cluster authority, over real mutual TLS on loopback, and what members show to each other."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firstboot import paths
from firstboot.cluster import authority as authorities
from firstboot.cluster import enrolment
from firstboot.cluster.ballots import Proposal
from firstboot.cluster.certificates import new_key, pem
from firstboot.cluster.events import Endpoint
from firstboot.cluster.members import Members, first
from firstboot.cluster.server import AdmissionServer, Answer, Request
from firstboot.cluster.session import UnreachableError, open_session
from firstboot.cluster.tls import Credentials, client_context, server_context
from firstboot.cluster.trust import MemberRole, SlotRole, members_domain
from firstboot.cluster.views import View
from firstboot.context import Context, Member
from firstboot.errors import RefusedError
from firstboot.nodekey import NodeKey
from firstboot.phases import Done, Wait
from firstboot.seed import Seed
from tests.unit.firstboot.sites import credentials, site

ROOT, SEEDS = site()
KEYS = {number: NodeKey(new_key()) for number in (1, 2, 3)}
CLAIMS = {number: key.node_id for number, key in KEYS.items()}
SEED_IDS = {number: SEEDS[number - 1].slot.seed_id for number in KEYS}
NAMES = {number: f"node{number}" for number in KEYS}


def of(claims: dict[int, str]) -> Members:
    """The first epoch of the cluster that has these nodes."""
    return first(Proposal(claims, {slot: SEED_IDS[slot] for slot in claims}, "7" * 32), NAMES)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This node is slot 2."""
    for name in ("NODE_KEY", "NODE_CERTIFICATE", "AUTHORITY_ISSUER", "TRUSTED"):
        monkeypatch.setattr(paths, name, tmp_path / getattr(paths, name).relative_to(paths.STATE))
    paths.NODE_KEY.write_text(KEYS[2].pem)
    return tmp_path


@dataclass
class Founder:
    """Slot 1's service, which holds the authority; `enrolled` are the nodes that asked for it."""

    server: AdmissionServer
    authority: authorities.Authority
    enrolled: list[SlotRole]
    members: Members | None = field(default_factory=lambda: of(CLAIMS))


@pytest.fixture
def founder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Founder]:
    held = tmp_path / "founder"
    held.mkdir()
    authority = authorities.create("demo")
    authorities.save(authority, held / "authority" / "authority.pem", held / "authority" / "trusted.pem")

    def answer(request: Request) -> Answer:
        assert isinstance(request.role, SlotRole)
        made.enrolled.append(request.role)
        with monkeypatch.context() as patch:
            patch.setattr(paths, "AUTHORITY_ISSUER", held / "authority" / "authority.pem")
            patch.setattr(paths, "TRUSTED", held / "authority" / "trusted.pem")
            return enrolment.answer(made.members, request.role)

    shown = server_context(credentials(SEEDS[0], KEYS[1]))
    server = AdmissionServer(shown, site_id=ROOT.site_id, port=0, host="127.0.0.1", answer=answer)
    monkeypatch.setattr(paths, "ADMISSION_PORT", server.port)
    made = Founder(server, authority, [])
    server.serve(poll_s=0.02)
    yield made
    server.close()


def context(
    own: int = 2, *, founder: int = 1, authority: str | None = "f" * 32, key: NodeKey | None = None
) -> Context:
    """What the phase gets on that slot's node: everybody is known, and the founder says what it holds."""
    made = Context(report=lambda _: None, seed=SEEDS[own - 1], node_id=KEYS[own].node_id)
    made.claimant = credentials(SEEDS[own - 1], key or KEYS[own])
    made.members = {
        n: Member(n, f"node{n}", k.node_id, "127.0.0.1", f"node{n}.demo.trivet.internal") for n, k in KEYS.items()
    }
    made.founder_slot = founder
    made.views = {
        n: View(node_id=k.node_id, slot=n, seed_id="0" * 32, phase="enrol", authority=authority if n == 1 else None)
        for n, k in KEYS.items()
    }
    return made


def test_a_follower_gets_the_authority_and_makes_its_certificate(founder: Founder) -> None:
    given = context(authority=founder.authority.fingerprint)
    assert isinstance(enrolment.step(given, before=False), Done)
    assert given.authority == founder.authority.fingerprint
    assert [role.slot for role in founder.enrolled] == [2]
    shown = enrolment.member_credentials()
    assert shown is not None
    assert shown.trusted == founder.authority.certificate_pem
    before = paths.NODE_CERTIFICATE.read_bytes()
    assert isinstance(enrolment.step(given, before=True), Done)
    assert paths.NODE_CERTIFICATE.read_bytes() == before
    assert len(founder.enrolled) == 1, "done again, nothing is asked for"


def test_the_founder_makes_it_once(founder: Founder) -> None:
    own = context(founder=2, authority=None)
    assert isinstance(enrolment.step(own, before=False), Done)
    made = own.authority
    assert isinstance(enrolment.step(own, before=False), Done)
    assert own.authority == made
    assert founder.enrolled == []


def test_a_founder_that_had_one_never_makes_another(founder: Founder) -> None:
    outcome = enrolment.step(context(founder=2, authority=None), before=True)
    assert isinstance(outcome, Wait)
    assert "which this node had" in outcome.reason


def test_a_follower_waits_by_name(founder: Founder) -> None:
    founder.server.answer = lambda _: Answer(409, {})
    outcome = enrolment.step(context(authority=None), before=False)
    assert isinstance(outcome, Wait)
    assert outcome.reason == "node1 does not hold the cluster authority yet"
    assert not paths.AUTHORITY_ISSUER.exists()


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        (None, "does not hold the cluster authority yet"),
        (of({**CLAIMS, 2: "e" * 32}), "refused with 403"),
        (of({1: CLAIMS[1], 3: CLAIMS[3]}), "refused with 403"),
    ],
)
def test_who_is_no_member_gets_nothing(
    founder: Founder, members: Members | None, refusal: str, caplog: pytest.LogCaptureFixture
) -> None:
    founder.members = members
    outcome = enrolment.step(context(), before=False)
    assert isinstance(outcome, Wait)
    assert refusal in outcome.reason
    assert not paths.AUTHORITY_ISSUER.exists()
    assert "PRIVATE" not in caplog.text


def test_a_stolen_seed_of_a_claimed_slot_gets_nothing(founder: Founder, caplog: pytest.LogCaptureFixture) -> None:
    thief = NodeKey(new_key())
    outcome = enrolment.step(context(key=thief), before=False)
    assert isinstance(outcome, Wait)
    assert "refused with 403" in outcome.reason
    assert f"slot 2, node {thief.node_id} asks for the cluster authority, but is no member" in caplog.text


def test_the_authority_is_not_taken_from_another_machine_at_the_founders_address(founder: Founder) -> None:
    given = context()
    given.members[1] = Member(1, "node1", "e" * 32, "127.0.0.1", "node1.demo.trivet.internal")
    outcome = enrolment.step(given, before=False)
    assert isinstance(outcome, Wait)
    assert "another machine than node1 answers there" in outcome.reason
    assert founder.enrolled == []


def test_another_authority_is_refused_by_name(founder: Founder) -> None:
    given = context(authority="f" * 32)
    with pytest.raises(RefusedError, match="node1 holds another cluster authority"):
        enrolment.step(given, before=False)


def member(founder: Founder, number: int, seed: Seed | None = None) -> Credentials:
    key = KEYS[number]
    certificate = authorities.issue_member(
        founder.authority, ROOT.site_id, key.key.public_key(), (), datetime.now(UTC)
    )
    return Credentials(pem(certificate), key.pem, founder.authority.trusted_pem)


def test_members_meet_as_members_when_they_ask_for_it(founder: Founder) -> None:
    seen: list[object] = []

    def note(request: Request) -> Answer:
        seen.append(request.role)
        return Answer(200, {})

    founder.server.answer = note
    founder.server.members = server_context(member(founder, 1))
    where = Endpoint("127.0.0.1", founder.server.port)
    name = members_domain(ROOT.site_id)
    shown = client_context(member(founder, 2))
    with open_session(where, shown, site_id=ROOT.site_id, server_name=name) as session:
        assert session.role == MemberRole(ROOT.site_id, KEYS[1].node_id)
        assert session.ask("GET", "/").code == 200
    assert seen == [MemberRole(ROOT.site_id, KEYS[2].node_id)]


@pytest.mark.parametrize("asks", [True, False])
def test_claimants_and_members_are_kept_apart(founder: Founder, asks: bool) -> None:
    """Under the members' name only the cluster authority counts, under no name only the site root."""
    founder.server.members = server_context(member(founder, 1))
    wrong = credentials(SEEDS[1], KEYS[2]) if asks else member(founder, 2)
    lenient = client_context(wrong)
    lenient.verify_mode = ssl.CERT_NONE
    name = members_domain(ROOT.site_id) if asks else None
    where = Endpoint("127.0.0.1", founder.server.port)
    with (
        pytest.raises(UnreachableError),
        open_session(where, lenient, site_id=ROOT.site_id, server_name=name) as session,
    ):
        session.ask("GET", "/")
    assert founder.enrolled == []


def test_before_it_is_a_member_a_node_shows_no_members_name(founder: Founder) -> None:
    shown = client_context(member(founder, 2))
    where = Endpoint("127.0.0.1", founder.server.port)
    with (
        pytest.raises(UnreachableError, match="TLS failed"),
        open_session(where, shown, site_id=ROOT.site_id, server_name=members_domain(ROOT.site_id)),
    ):
        raise AssertionError("never reached")
