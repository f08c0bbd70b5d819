"""A node takes up another cluster authority: what is on its disk after each step, wherever it is cut off."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from firstboot import files, paths
from firstboot.cluster import authority as authorities
from firstboot.cluster import enrolment, succession
from firstboot.cluster.authority import Authority, fingerprint, split_pem
from firstboot.cluster.certificates import new_key
from firstboot.cluster.changes import Change, RemoveNode, RotateAuthority
from firstboot.cluster.council import Council
from firstboot.cluster.members import Members, SlotRecord
from firstboot.cluster.views import View
from firstboot.context import Context, Member
from firstboot.nodekey import NodeKey
from tests.unit.cluster.documents import TOKEN, node, seed
from tests.unit.firstboot.sites import site

FILES = ("NODE_KEY", "NODE_CERTIFICATE", "AUTHORITY_ISSUER", "AUTHORITY_NEXT", "TRUSTED")


@dataclass
class FakeCouncil:
    """Makes what it is asked for at once, or notes it only."""

    members: Members
    is_deaf: bool = False
    trouble: str = ""
    wanted: list[Change] = field(default_factory=list)

    def propose(self, change: Change) -> None:
        self.wanted.append(change)
        outcome = change.apply(self.members)
        if isinstance(outcome, Members) and not self.is_deaf:
            self.members = outcome


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The authority that this node holds, with a certificate of it."""
    for name in FILES:
        monkeypatch.setattr(paths, name, tmp_path / getattr(paths, name).relative_to(paths.STATE))
    made = authorities.create("demo")
    authorities.save(made, paths.AUTHORITY_ISSUER, paths.TRUSTED)
    return made


@dataclass
class Bench:
    """This node is slot 1; slot 2's is the other member, slot 3's was removed."""

    context: Context
    council: FakeCouncil
    views: dict[int, View] = field(default_factory=dict)

    def follow(self) -> str:
        return succession.follow(self.context, cast("Council", self.council), self.council.members, self.views)

    def show(self, authority: str, certified: str) -> None:
        """What the other member shows."""
        self.views[2] = View(
            node_id=node(2), slot=2, seed_id=seed(2), phase="formed", authority=authority, certified=certified
        )


@pytest.fixture
def bench(old: Authority) -> Bench:
    key = NodeKey(new_key())
    paths.NODE_KEY.write_text(key.pem)
    given = site(3)[1][0]
    context = Context(report=lambda _: None, seed=given, node_id=key.node_id)
    context.members = {
        1: Member(1, "node1", key.node_id, "127.0.0.1", "node1.demo.trivet.internal"),
        2: Member(2, "node2", node(2), "127.0.0.1", "node2.demo.trivet.internal"),
    }
    enrolment.issue(context, old, "there is none")
    nodes = {1: key.node_id, 2: node(2), 3: node(3)}
    slots = {slot: SlotRecord(f"node{slot}", held, seed(slot)) for slot, held in nodes.items()}
    members = RemoveNode(node(3)).apply(Members(TOKEN, 1, slots))
    assert isinstance(members, Members)
    made = Bench(context, FakeCouncil(members))
    made.show(old.fingerprint, old.fingerprint)
    return made


def on_disk() -> tuple[str, list[str], str | None]:
    """What this node holds, trusts, and has its certificate of."""
    held = authorities.load(paths.AUTHORITY_ISSUER, paths.TRUSTED)
    assert held is not None
    certificate = enrolment.load_certificate_of_node()
    assert certificate is not None
    signer = authorities.signer(certificate, held.trusted)
    trusted = [fingerprint(authority) for authority in held.trusted]
    return held.fingerprint, trusted, fingerprint(signer) if signer is not None else None


def test_the_first_member_makes_it_and_all_go_over(bench: Bench, old: Authority) -> None:
    for _ in range(4):
        bench.follow()
    new, former = bench.council.members.authorities
    assert former == old.fingerprint
    assert on_disk() == (new, [new, former], former), "the other one does not trust it yet"
    assert not paths.AUTHORITY_NEXT.exists()
    bench.show(new, former)
    bench.follow()
    assert on_disk() == (new, [new, former], new)
    bench.show(new, new)
    bench.follow()
    bench.follow()
    assert bench.council.members.authorities == (new,)
    assert on_disk() == (new, [new], new)
    assert (bench.context.authority, bench.context.certified) == (new, new)
    before = len(bench.council.wanted)
    bench.follow()
    assert len(bench.council.wanted) == before, "done already, nothing is changed"


def test_what_was_made_outlives_the_agent(bench: Bench) -> None:
    bench.council.is_deaf = True
    bench.follow()
    bench.council.is_deaf = False
    for _ in range(2):
        bench.follow()
    made = authorities.read(paths.AUTHORITY_NEXT.read_text(), [paths.AUTHORITY_NEXT.read_text()])
    assert paths.AUTHORITY_NEXT.stat().st_mode & 0o777 == 0o600
    assert bench.council.members.authorities[0] == made.fingerprint
    bench.follow()
    assert on_disk()[0] == made.fingerprint


def test_the_others_fetch_it(bench: Bench, old: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    new = authorities.create("demo")
    given = Authority(new.certificate, new.key, (new.certificate, old.certificate))
    asked: list[int] = []

    def fetch(_: Context, member: Member) -> Authority:
        asked.append(member.slot)
        return given

    monkeypatch.setattr(enrolment, "fetch", fetch)
    members = bench.council.members
    bench.council.members = Members(
        TOKEN,
        members.epoch + 2,
        members.slots,
        members.removed,
        (new.fingerprint, old.fingerprint),
        members.epoch + 2,
    )
    bench.show(new.fingerprint, old.fingerprint)
    bench.follow()
    assert asked == [2]
    assert on_disk() == (new.fingerprint, [new.fingerprint, old.fingerprint], new.fingerprint)


def gone_over(bench: Bench, new: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other members came to this authority, and left the former one, while this node was off."""
    monkeypatch.setattr(enrolment, "fetch", lambda *_: new)
    members = bench.council.members
    bench.council.members = Members(
        TOKEN, members.epoch + 3, members.slots, members.removed, (new.fingerprint,), members.epoch + 2
    )
    bench.show(new.fingerprint, new.fingerprint)


def test_who_was_off_until_the_former_one_was_gone(
    bench: Bench, old: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = authorities.create("demo")
    gone_over(bench, new, monkeypatch)
    bench.follow()
    assert on_disk() == (new.fingerprint, [new.fingerprint], new.fingerprint)


class CutOffError(Exception):
    """The node died here."""


def cut_off(writes: int, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Have the node die before a write of the authority, after so many; what was written."""
    done: list[Path] = []
    write = files.write_atomic

    def until(path: Path, data: str, *, mode: int = 0o644) -> None:
        if len(done) == writes:
            raise CutOffError
        write(path, data, mode=mode)
        done.append(path)

    monkeypatch.setattr(authorities, "write_atomic", until)
    return done


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_cut_off_between_any_two_writes_it_goes_on_by_itself(
    writes: int, bench: Bench, old: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = authorities.create("demo")
    gone_over(bench, new, monkeypatch)
    with monkeypatch.context() as patch:
        done = cut_off(writes, patch)
        with pytest.raises(CutOffError):
            bench.follow()
    assert done == [paths.TRUSTED, paths.AUTHORITY_ISSUER, paths.TRUSTED][:writes]
    held, trusted, certified = on_disk()
    assert held == (new if writes == 2 else old).fingerprint
    assert certified == old.fingerprint, "its certificate is of one that it trusts"
    assert set(trusted) == {old.fingerprint, new.fingerprint} if writes else {old.fingerprint}
    bench.follow()
    assert on_disk() == (new.fingerprint, [new.fingerprint], new.fingerprint)


@pytest.mark.parametrize("writes", [0, 1])
def test_cut_off_while_both_are_trusted(
    writes: int, bench: Bench, old: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        bench.follow()
    new = authorities.read(paths.AUTHORITY_NEXT.read_text(), [paths.AUTHORITY_NEXT.read_text()])
    with monkeypatch.context() as patch:
        cut_off(writes, patch)
        with pytest.raises(CutOffError):
            bench.follow()
    assert on_disk()[0] == old.fingerprint
    assert paths.AUTHORITY_NEXT.exists(), "its key is nowhere else"
    bench.follow()
    assert on_disk() == (new.fingerprint, [new.fingerprint, old.fingerprint], old.fingerprint)


def test_it_is_read_whole_while_it_is_replaced(old: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    new = authorities.create("demo")
    read = Path.read_text
    replaced: list[Path] = []

    def text(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if self == paths.TRUSTED and not replaced:
            replaced.append(self)
            authorities.save(new, paths.AUTHORITY_ISSUER, paths.TRUSTED)
        return read(self, encoding, errors)

    monkeypatch.setattr(Path, "read_text", text)
    held = authorities.load(paths.AUTHORITY_ISSUER, paths.TRUSTED)
    assert held is not None
    assert (held.fingerprint, len(held.trusted)) == (new.fingerprint, 1)


def test_a_slower_members_authority_is_not_used(bench: Bench, old: Authority) -> None:
    bench.council.is_deaf = True
    for _ in range(2):
        bench.follow()
    members = bench.council.members
    bench.council.members = Members(
        TOKEN, members.epoch + 1, members.slots, members.removed, (old.fingerprint,), members.epoch + 1
    )
    paths.AUTHORITY_NEXT.write_text(authorities.create("demo").issuer_pem)
    bench.follow()
    assert not paths.AUTHORITY_NEXT.exists()
    assert len(split_pem(paths.TRUSTED.read_text())) == 1


def test_a_candidate_that_a_power_cut_brought_back_is_removed_for_good(
    bench: Bench, old: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        bench.follow()
    synced: list[bool] = []
    made = paths.AUTHORITY_NEXT.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(succession, "sync_folder", lambda _: synced.append(paths.AUTHORITY_NEXT.exists()))
        bench.follow()
    assert synced == [False], "its removal is durable before anything else is done"
    paths.AUTHORITY_NEXT.write_text(made)
    again = RemoveNode(node(2)).apply(bench.council.members)
    assert isinstance(again, Members)
    bench.council.members = again
    bench.views.clear()
    first = again.authorities[0]
    for _ in range(4):
        assert bench.follow() == ""
    (newest,) = bench.council.members.authorities
    assert newest not in (first, old.fingerprint)
    assert not paths.AUTHORITY_NEXT.exists()


def test_what_is_in_the_way_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.council.is_deaf = True
    bench.council.trouble = "1 of 2 members answered"
    assert bench.follow() == "1 of 2 members answered"
    change = RotateAuthority("c" * 32, "d" * 32)
    monkeypatch.setattr(succession.rotation, "step", lambda *_: succession.Propose(change))
    assert "is refused: the newest authority is none" in bench.follow()
    assert change not in bench.council.wanted
