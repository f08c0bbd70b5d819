"""A volume gets the bricks of members that came later, and healing is what it was before, whatever comes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firstboot.cluster.views import View
from firstboot.context import Context
from firstboot.gluster import completion, marks
from firstboot.gluster import volumes as room
from firstboot.gluster.client import GlusterError, Peer, UnansweredError, VolumeInfo
from firstboot.gluster.completion import HEALING, HELD, behind, blamed
from firstboot.phases import Done, Wait
from tests.unit.firstboot.gluster.formed import context
from tests.unit.firstboot.gluster.onevolume import BRICKS, CLOSED, STARTED, FakeGlusterd, settled, waited

COMPLETED = [
    "set {'cluster.self-heal-daemon': 'off', 'user.trivet.heal': 'on'}",
    "add replica 3 node3",
    "set {'cluster.self-heal-daemon': 'on'}",
    "heal",
    "set {'user.trivet.heal': 'done'}",
]


def test_without_a_member_there_are_fewer_copies_until_it_comes(glusterd: FakeGlusterd) -> None:
    founder = context(1)
    late = founder.members.pop(3)
    glusterd.peers = (settled(2),)
    outcome = room.form(founder)
    assert isinstance(outcome, Done)
    assert outcome.detail == "1 volume(s) started; volume data has 2 of 3 bricks, without node3"
    assert glusterd.done[0] == "create data replica 2"
    founder.finished.add("domains")
    assert waited(room.form(founder)) == "volume data has 2 of 3 bricks, without node3"
    founder.members[3] = late
    glusterd.done.clear()
    room.form(founder)
    assert glusterd.done == [f"set {({'auth.ssl-allow': CLOSED['auth.ssl-allow']})}"], "its disks are not ready yet"
    founder.views[3] = View(node_id=late.node_id, slot=3, seed_id="0" * 32, phase="pool", ready_disks=True)
    glusterd.done.clear()
    room.form(founder)
    assert glusterd.done == [], "it is not in the pool yet"
    glusterd.peers = (Peer("c", ("node3.lab.trivet.internal",), True, "Peer in Cluster"),)
    room.form(founder)
    assert glusterd.done == COMPLETED
    assert isinstance(room.form(founder), Done)
    assert glusterd.done == COMPLETED, "done already, nothing is changed"
    assert glusterd.volume is not None
    assert glusterd.volume.options[HELD] == "done"


def lacking(founder: Context, **options: str) -> VolumeInfo:
    """The volume without node3's brick, whose machine is there."""
    founder.views[3] = View(node_id=f"{3:032x}", slot=3, seed_id="0" * 32, phase="pool", ready_disks=True)
    return replace(STARTED, bricks=BRICKS[:2], replica=2, options={**CLOSED, **options})


def test_nothing_is_healed_while_a_client_writes_to_the_former_copies_alone(glusterd: FakeGlusterd) -> None:
    founder, a, b = context(1), "10.91.7.1", "10.91.7.2"
    glusterd.peers = tuple(
        Peer(f"u{n}", (f"node{n}.lab.trivet.internal",), connected=True, state="Peer in Cluster") for n in (2, 3)
    )
    glusterd.volume = lacking(founder)
    glusterd.clients = {BRICKS[0]: (a, b), BRICKS[1]: (a, b), BRICKS[2]: (a,)}
    assert f"{b} does not know {BRICKS[2]} yet" in waited(room.form(founder))
    assert glusterd.done == COMPLETED[:2]
    assert waited(room.form(founder))
    glusterd.clients = {BRICKS[0]: (a, b, b), BRICKS[1]: (a, b, b), BRICKS[2]: (a, b)}
    assert waited(room.form(founder)), "it has not ended its former connections"
    glusterd.clients = dict.fromkeys(BRICKS[:2], (a, b))
    assert f"{BRICKS[2]} is offline" in waited(room.form(founder))
    assert glusterd.done == COMPLETED[:2]
    glusterd.clients = dict.fromkeys(BRICKS, (a, b))
    assert isinstance(room.form(founder), Done)
    assert glusterd.done == COMPLETED


def test_cut_off_before_the_bricks_were_added(glusterd: FakeGlusterd) -> None:
    founder = context(1)
    glusterd.peers = (Peer("u3", ("node3.lab.trivet.internal",), connected=True, state="Peer in Cluster"),)
    glusterd.volume = lacking(founder, **{HELD: "on", "cluster.self-heal-daemon": "off"})
    assert isinstance(room.form(founder), Done)
    assert glusterd.done == COMPLETED[1:]


def test_healing_that_an_operator_turned_off_stays_off(glusterd: FakeGlusterd) -> None:
    founder = context(1)
    glusterd.peers = (Peer("u3", ("node3.lab.trivet.internal",), connected=True, state="Peer in Cluster"),)
    glusterd.volume = lacking(founder, **{"cluster.self-heal-daemon": "off"})
    assert isinstance(room.form(founder), Done)
    assert "heal" not in glusterd.done
    assert glusterd.volume.options["cluster.self-heal-daemon"] == "off"


HELD_BACK, PUT_BACK = COMPLETED[0], "set {'cluster.self-heal-daemon': 'on', 'user.trivet.heal': 'done'}"
REFUSED = GlusterError("adding", "Pre Validation failed on node3.lab.trivet.internal. No space left on device")


def completing(glusterd: FakeGlusterd, error: GlusterError, **options: str) -> Context:
    """A formed founder that is about to add node3's brick, which is refused."""
    founder = context(1)
    founder.finished.add("domains")
    glusterd.volume, glusterd.add_error = lacking(founder, **options), error
    return founder


@pytest.mark.parametrize("before", ["on", "off"])
@pytest.mark.parametrize("is_held", [True, False])
def test_a_refused_addition_leaves_healing_as_it_was(glusterd: FakeGlusterd, before: str, is_held: bool) -> None:
    held = {HELD: before, HEALING: "off"} if is_held else {HEALING: before}
    founder = completing(glusterd, REFUSED, **held)
    said = waited(room.form(founder))
    assert "refused" in glusterd.done
    assert said == "volume data can't get more bricks yet: " + REFUSED.text
    assert glusterd.volume is not None
    assert (glusterd.volume.options[HEALING], glusterd.volume.options[HELD]) == (before, "done")


def test_a_refused_addition_is_tried_again_after_a_while(
    glusterd: FakeGlusterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    founder = completing(glusterd, REFUSED)
    first = waited(room.form(founder))
    assert waited(room.form(founder)) == first
    assert glusterd.done == [HELD_BACK, "refused", PUT_BACK], "healing is turned off and on at each look"
    glusterd.add_error = None
    monkeypatch.setattr(completion, "AGAIN_S", 0.0)
    room.form(founder)
    assert glusterd.done[3:] == COMPLETED


def test_an_addition_that_may_be_done_still_keeps_healing_off(glusterd: FakeGlusterd) -> None:
    founder = completing(glusterd, UnansweredError("adding", "no answer"))
    with pytest.raises(UnansweredError):
        room.form(founder)
    assert glusterd.done == [HELD_BACK, "refused"]


def test_an_addition_that_failed_on_another_node_alone_keeps_healing_off(glusterd: FakeGlusterd) -> None:
    founder = completing(glusterd, GlusterError("adding", "Commit failed on node2.lab.trivet.internal"))
    glusterd.is_added_here, glusterd.clients = True, {}
    assert "Commit failed on node2" in waited(room.form(founder))
    assert glusterd.done == [HELD_BACK, "refused"], "there are new copies, which not every client knows"
    assert "is healed once every client knows its new bricks" in waited(room.form(founder))


def test_a_refused_addition_does_not_hold_up_who_comes_back(glusterd: FakeGlusterd) -> None:
    returning = completing(glusterd, REFUSED)
    returning.finished.clear()
    assert isinstance(room.form(returning), Done)
    assert glusterd.done == [HELD_BACK, "refused", PUT_BACK]


@pytest.mark.parametrize(
    "said",
    [
        "Pre Validation failed on node3.lab.trivet.internal. {path} is already part of a volume",
        "{path} is already part of a volume",
    ],
)
def test_a_surplus_mark_is_told_with_its_brick_and_node(glusterd: FakeGlusterd, said: str) -> None:
    path = BRICKS[2].partition(":")[2]
    founder = completing(glusterd, GlusterError("adding", said.format(path=path)))
    outcome = room.form(founder)
    assert f"surplus mark of a volume on {BRICKS[2]} of node3" in waited(outcome)
    assert isinstance(outcome, Wait)
    assert "takes it off by itself" in outcome.hint
    assert glusterd.done == [HELD_BACK, "refused", PUT_BACK]


def test_whose_brick_a_sentence_is_of() -> None:
    bricks = {"node2:/srv/a": 2, "node3:/srv/a": 3, "node3:/srv/b": 3}
    assert blamed("failed on node3. /srv/a is already", bricks, 2) == ["node3:/srv/a"]
    assert blamed("/srv/a is already", bricks, 2) == ["node2:/srv/a"], "it names no host: its own"
    assert blamed("/srv/a is already", bricks, 1) == ["node2:/srv/a", "node3:/srv/a"]
    assert blamed("something is already", bricks, 1) == list(bricks)


def test_a_marked_folder_here_is_cleaned_before_it_is_added(
    glusterd: FakeGlusterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def clean(volume: str, brick: str, mount: Path, folder: Path) -> Wait | None:
        asked.append((volume, brick))
        return trouble

    monkeypatch.setattr(marks, "clean_surplus", clean)
    glusterd.peers = tuple(settled(slot) for slot in (1, 2))
    late = context(3)
    late.finished.add("domains")
    glusterd.volume = lacking(context(1))
    trouble: Wait | None = Wait("it is marked")
    assert waited(room.form(late)) == "it is marked"
    trouble = None
    assert "node1 adds them" in waited(room.form(late))
    assert asked == [("data", BRICKS[2])] * 2
    glusterd.volume = STARTED
    assert isinstance(room.form(late), Done)
    assert len(asked) == 2, "it is a brick"


def test_who_is_behind() -> None:
    assert behind({"a": ("x", "y"), "b": ("y", "x")}, ["a", "b"]) == ""
    assert behind({"a": ("x", "y"), "b": ("x",)}, ["a", "b"]) == "y does not know b yet"
    assert behind({"a": ("x",)}, ["a", "b"]) == "b is offline"
    assert behind({"a": ("x", "z"), "b": ("y", "z")}, ["a", "b"]) == "", "it has two addresses"
