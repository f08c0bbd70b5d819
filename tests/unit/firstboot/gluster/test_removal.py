"""What leaves a volume when a node was removed: what the others can do without, once their copies are whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster.ballots import Proposal
from firstboot.cluster.changes import ReleaseSlot, RemoveNode
from firstboot.cluster.members import Members, first
from firstboot.cluster.views import View
from firstboot.context import Context, Look
from firstboot.gluster import client, heals, marks, removal, vacancies
from firstboot.gluster.client import Peer, Pool, VolumeInfo
from firstboot.gluster.inplace import InPlace
from firstboot.gluster.layout import Layout, PlacedBrick
from firstboot.gluster.removal import Obstacle, Reduction, reduction
from firstboot.gluster.shape import is_part_of, sets
from firstboot.gluster.wanted import wanted_volumes
from firstboot.phases import Wait
from firstboot.plan import Plan, VolumeType
from tests.unit.firstboot.gluster.formed import context, plan
from tests.unit.firstboot.gluster.test_shape import ARBITER, REPLICA, SIX, SPREAD, layout

BRICKS = tuple(f"node{n}.lab.trivet.internal:/var/lib/trivet/bricks/data-0/brick" for n in (1, 2, 3))
INFO = VolumeInfo("data", "id", "Replicate", "Started", 3, 0, BRICKS, {})


def node(slot: int) -> str:
    return f"{slot:032x}"


def without_slot_1() -> Members:
    slots = (1, 2, 3)
    proposal = Proposal({n: node(n) for n in slots}, {n: f"{n + 16:032x}" for n in slots}, "7" * 32)
    members = RemoveNode(node(1)).apply(first(proposal, {n: f"node{n}" for n in slots}))
    assert isinstance(members, Members)
    return members


@pytest.mark.parametrize(
    ("plan", "leaving", "words", "going"),
    [
        (REPLICA, {1}, ("replica", "2"), 1),
        (REPLICA, {3}, ("replica", "2"), 1),
        (ARBITER, {3}, ("replica", "2"), 1),
        (SIX, {1, 4}, ("replica", "2"), 2),
        (layout(3, 3, disks=2), {2}, ("replica", "2"), 2),
    ],
)
def test_one_copy_of_every_set_can_go(plan: Layout, leaving: set[int], words: tuple[str, ...], going: int) -> None:
    found = reduction("data", plan, plan.bricks, plan.set_size, leaving)
    assert isinstance(found, Reduction)
    assert (found.words, len(found.bricks)) == (words, going)


@pytest.mark.parametrize(
    ("plan", "leaving", "why"),
    [
        (SPREAD, {1}, "nowhere else"),
        (SIX, {1, 2, 3}, "nowhere else"),
        (ARBITER, {1, 2}, "nowhere else"),
        (layout(2, 2), {1, 2}, "nowhere else"),
        (REPLICA, {1, 2, 3}, "nowhere else"),
    ],
)
def test_what_a_volume_needs_stays(plan: Layout, leaving: set[int], why: str) -> None:
    found = reduction("data", plan, plan.bricks, plan.set_size, leaving)
    assert isinstance(found, Obstacle)
    assert why in found.reason
    assert "gluster volume" in found.hint


@pytest.mark.parametrize(
    ("plan", "leaving", "text"),
    [
        (SIX, {1}, "keeps 2 of 3 copies"),
        (SIX, {1, 2, 5}, "keeps 1 of 3 copies"),
        (layout(2, 2), {1}, "keeps 1 of 2 copies"),
        (ARBITER, {1}, "keeps 1 of 2 data copies and the arbiter"),
        (ARBITER, {1, 3}, "keeps 1 of 2 copies"),
        (REPLICA, {1, 2}, "keeps 1 of 3 copies"),
    ],
)
def test_what_has_its_data_elsewhere_stays_in_place(plan: Layout, leaving: set[int], text: str) -> None:
    found = reduction("data", plan, plan.bricks, plan.set_size, leaving)
    assert isinstance(found, InPlace)
    assert (found.text, set(found.slots)) == (text, leaving)


def test_a_volume_without_bricks_there_is_left_alone() -> None:
    assert reduction("data", REPLICA, REPLICA.bricks[1:], 2, {1}) is None
    assert isinstance(reduction("data", REPLICA, REPLICA.bricks[1:], 2, {2}), InPlace), "one copy would be left"


@given(st.sampled_from([REPLICA, ARBITER, SIX, SPREAD, layout(2, 4), layout(3, 3, disks=2)]), st.data())
def test_a_reduction_leaves_every_set_its_data(plan: Layout, data: st.DataObject) -> None:
    leaving = data.draw(st.sets(st.sampled_from(sorted({brick.slot for brick in plan.bricks})), min_size=1))
    found = reduction("data", plan, plan.bricks, plan.set_size, leaving)
    if isinstance(found, Reduction):
        kept = tuple(brick for brick in plan.bricks if brick not in found.bricks)
        assert is_part_of(plan, kept, int(found.words[1]), 0)
        assert all(len(set(members) & set(kept)) >= 2 for members in sets(plan))
        assert {brick.slot for brick in found.bricks} <= leaving
    kept = [[brick for brick in members if brick.slot not in leaving] for members in sets(plan)]
    data = [
        set(left) - ({members[-1]} if plan.arbiter else set()) for left, members in zip(kept, sets(plan), strict=True)
    ]
    assert isinstance(found, Obstacle) is not all(data), "refused, unless every set keeps a brick with data"


class FakeGlusterd:
    """A replicated volume and its pool, from which things are taken."""

    def __init__(self) -> None:
        self.online = frozenset(BRICKS[1:])
        self.owed: frozenset[str] = frozenset()
        self.peers = [
            Peer("u1", ("node1.lab.trivet.internal",), connected=False, state="Peer in Cluster"),
            Peer("u3", ("node3.lab.trivet.internal",), connected=True, state="Peer in Cluster"),
        ]
        self.volume = INFO
        self.others: tuple[VolumeInfo, ...] = ()
        self.done: list[str] = []

    def remove(self, volume: str, words: tuple[str, ...], bricks: tuple[str, ...]) -> None:
        self.done.append(f"remove {' '.join(words)} {' '.join(brick.partition('.')[0] for brick in bricks)}")
        left = tuple(brick for brick in self.volume.bricks if brick not in bricks)
        self.volume = replace(self.volume, bricks=left, replica=int(words[1]))

    def detach(self, host: str) -> None:
        self.done.append(f"detach {host}")
        self.peers = [peer for peer in self.peers if host not in peer.names]


@pytest.fixture
def glusterd(monkeypatch: pytest.MonkeyPatch) -> FakeGlusterd:
    fake = FakeGlusterd()
    monkeypatch.setattr(client, "pool", lambda: Pool("own", tuple(fake.peers)))
    monkeypatch.setattr(client, "volumes", lambda: (fake.volume, *fake.others))
    monkeypatch.setattr(client, "online_bricks", lambda _: fake.online)
    monkeypatch.setattr(client, "remove_bricks", fake.remove)
    monkeypatch.setattr(client, "detach", fake.detach)
    monkeypatch.setattr(heals, "copies", lambda _: {f"data-client-{n}": brick for n, brick in enumerate(BRICKS)})
    monkeypatch.setattr(heals, "owed", lambda _, names: fake.owed & frozenset(names))
    return fake


def member(slot: int, *, of: Plan | None = None) -> Context:
    """The node of a slot after slot 1 was removed, formed."""
    here = context(slot, of=of)
    here.document = without_slot_1()
    del here.members[1]
    here.finished.add("domains")
    here.views = {n: view(n) for n in (2, 3)}
    return here


def view(slot: int, epoch: int = 2, healing: tuple[str, ...] = (), looked: int | None = 2) -> View:
    return View(
        node_id=node(slot),
        slot=slot,
        seed_id=f"{slot + 16:032x}",
        phase="formed",
        epoch=epoch,
        healing=healing,
        looked=looked,
    )


def step(here: Context, glusterd: FakeGlusterd) -> Wait | bool:
    """What a run of the phase does: a look at all, then this volume's step."""
    (wanted,) = wanted_volumes(here)
    bricks = wanted.placed(glusterd.volume)
    assert bricks is not None
    removal.look(here, (wanted,), {"data": glusterd.volume})
    return removal.step(here, wanted, glusterd.volume, bricks)


def test_the_first_member_takes_the_bricks_out_and_then_the_node(glusterd: FakeGlusterd) -> None:
    assert vacancies.slots(member(2)) == {1}
    assert "volume data has bricks on it" in str(removal.detach(member(2)))
    assert glusterd.done == [], "its brick is in use"
    assert step(member(2), glusterd) is True
    assert glusterd.done == ["remove replica 2 node1"]
    assert step(member(2), glusterd) is False
    assert removal.occupation(member(2), without_slot_1(), 1)
    assert removal.detach(member(2)) is None
    assert removal.detach(member(2)) is None
    assert glusterd.done == ["remove replica 2 node1", "detach node1.lab.trivet.internal"]
    assert removal.occupation(member(2), without_slot_1(), 1) == ""


def test_others_wait_for_the_first(glusterd: FakeGlusterd) -> None:
    glusterd.peers[1] = Peer("u2", ("node2.lab.trivet.internal",), connected=True, state="Peer in Cluster")
    waiting = step(member(3), glusterd)
    assert "node2 takes out" in str(waiting)
    glusterd.volume = replace(INFO, bricks=BRICKS[1:], replica=2)
    assert removal.detach(member(3)) is not None
    assert glusterd.done == []


def test_copies_that_are_offline_or_heal_come_first(glusterd: FakeGlusterd) -> None:
    here = member(2)
    glusterd.online = frozenset(BRICKS[1:2])
    assert "until these are online" in str(step(here, glusterd))
    glusterd.online = frozenset(BRICKS[1:])
    glusterd.owed = frozenset({"data-client-2"})
    assert "is healing" in str(step(here, glusterd))
    assert here.look == Look(("data",), 2)
    glusterd.owed = frozenset({"data-client-0"})
    here.views[3] = view(3, healing=("data",))
    assert "is healing" in str(step(here, glusterd))
    here.views[3] = view(3, epoch=1)
    assert "has not heard of the removal" in str(step(here, glusterd))
    here.views[3] = view(3)
    assert step(here, glusterd) is True
    assert here.look == Look((), 2), "what only the removed node lacks is nobody's concern"
    assert glusterd.done == ["remove replica 2 node1"]


def test_nobody_is_believed_who_has_the_document_and_has_not_looked_since(glusterd: FakeGlusterd) -> None:
    here = member(2)
    (wanted,) = wanted_volumes(here)
    for looked in (None, 1):
        here.views[3] = view(3, epoch=2, looked=looked)
        waiting = step(here, glusterd)
        assert "node3 has not looked at its bricks since the removal" in str(waiting)
    here.views[3] = view(3)
    for own in (Look(), Look((), 1)):
        here.look = own
        waiting = removal.step(here, wanted, INFO, wanted.placed(INFO) or ())
        assert "this node has not looked at its bricks since the removal" in str(waiting)
    assert glusterd.done == []
    assert step(here, glusterd) is True


def test_a_look_is_of_one_epoch_and_of_all_volumes(glusterd: FakeGlusterd, monkeypatch: pytest.MonkeyPatch) -> None:
    here = member(2)
    glusterd.owed = frozenset({"data-client-2"})
    wanted = wanted_volumes(here)
    removal.look(here, wanted, {"data": replace(INFO, status="Stopped")})
    assert here.look == Look(("data",), 2), "a stopped volume may be started at any time"
    assert here.document is not None
    here.document = replace(here.document, epoch=3)
    monkeypatch.setattr(marks, "volume_id", lambda _: b"id")
    removal.look(here, wanted, {})
    assert here.look == Look(("data",), 2), "its glusterd does not know the volume of its own brick"
    monkeypatch.setattr(marks, "volume_id", lambda _: None)
    removal.look(here, wanted, {})
    assert here.look == Look((), 3), "nobody made that volume yet"


def test_nothing_is_taken_out_on_the_way_up(glusterd: FakeGlusterd) -> None:
    here = member(2)
    here.finished.clear()
    assert step(here, glusterd) is False
    glusterd.volume = replace(INFO, bricks=BRICKS[1:], replica=2)
    assert removal.detach(here) is None
    assert glusterd.done == []


def brick_file(folder: Path, number: int, host: str) -> None:
    path = folder / "vols/data/bricks" / f"{host}:-srv-brick"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"hostname={host}\npath=/srv/brick\nlisten-port=0\nbrick-id=data-client-{number}\n")


def test_the_names_of_marks(tmp_path: Path) -> None:
    brick_file(tmp_path, 0, "node1")
    brick_file(tmp_path, 4, "node2")
    assert heals.copies("data", tmp_path) == {
        "data-client-0": "node1:/srv/brick",
        "data-client-4": "node2:/srv/brick",
    }
    assert heals.copies("other", tmp_path) == {}


def test_marks_are_read_of_files_and_folders_in_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gfid, folder = "0" * 8 + "-0000-0000-0000-" + "0" * 11 + "2", "0" * 8 + "-0000-0000-0000-" + "0" * 11 + "3"
    index, files = tmp_path / ".glusterfs/indices/xattrop", tmp_path / ".glusterfs/00/00"
    index.mkdir(parents=True)
    files.mkdir(parents=True)
    (tmp_path / "inside").mkdir()
    (files / gfid).write_text("data")
    (files / folder).symlink_to(tmp_path / "inside")
    for name in (gfid, folder, f"xattrop-{gfid}"):
        (index / name).touch()
    marks = {
        (str(files / gfid), "trusted.afr.data-client-2"): bytes(12),
        (str(files / gfid), "trusted.afr.data-client-0"): bytes((0, 0, 0, 1)) + bytes(8),
        (str(files / folder), "trusted.afr.data-client-1"): bytes(11) + b"\x01",
    }
    followed: list[bool] = []

    def getxattr(path: Path, name: str, *, follow_symlinks: bool) -> bytes:
        if (str(path), name) not in marks:
            raise OSError(61, "no data")
        followed.append(follow_symlinks)
        return marks[str(path), name]

    monkeypatch.setattr("os.getxattr", getxattr)
    assert heals.owed(tmp_path, ["data-client-1", "data-client-2"]) == {"data-client-1"}
    assert heals.owed(tmp_path, ["data-client-0"]) == {"data-client-0"}
    assert heals.owed(tmp_path / "nowhere", ["data-client-0"]) == frozenset()
    assert set(followed) == {False, True}


def test_a_brick_of_no_slot_is_nobodys(glusterd: FakeGlusterd) -> None:
    assert reduction("data", REPLICA, (PlacedBrick(2, 0), PlacedBrick(3, 0)), 2, vacancies.slots(member(2))) is None


def test_what_stays_in_place_waits_for_the_slots_next_machine(glusterd: FakeGlusterd) -> None:
    here = member(2, of=plan(kind=VolumeType.ARBITER))
    (wanted,) = wanted_volumes(here)
    glusterd.volume = replace(INFO, bricks=tuple(wanted.names.values()), arbiter=1)
    waiting = step(here, glusterd)
    assert isinstance(waiting, Wait)
    assert waiting.reason == "volume data waits for the machine that replaces node1 in slot 1"
    assert waiting.hint.startswith("trivet-node slot release 1, and start a blank machine")
    assert removal.detach(here) is not None
    assert glusterd.done == []
    assert removal.occupation(here, without_slot_1(), 1) == "", "its place is for whoever comes"
    opened = ReleaseSlot(1, None).apply(without_slot_1())
    assert isinstance(opened, Members)
    here.document = opened
    waiting = step(here, glusterd)
    assert isinstance(waiting, Wait)
    assert waiting.hint.startswith("start a blank machine")


def test_a_place_with_bricks_that_are_not_of_the_plan_is_nobodys(glusterd: FakeGlusterd) -> None:
    here = member(2, of=plan(kind=VolumeType.ARBITER))
    (wanted,) = wanted_volumes(here)
    glusterd.volume = replace(INFO, bricks=tuple(wanted.names.values()), arbiter=1)
    strange = replace(INFO, name="scratch", bricks=("node1.lab.trivet.internal:/srv/scratch",))
    glusterd.others = (strange,)
    assert "still in the pool" in removal.occupation(here, without_slot_1(), 1)
