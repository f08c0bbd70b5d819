"""The volumes phase: created once, tuned before the start, never touched afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from firstboot.cluster.views import View
from firstboot.context import Context
from firstboot.errors import RefusedError
from firstboot.gluster import client, completion, options
from firstboot.gluster import volumes as room
from firstboot.gluster.client import GlusterError, Peer, Pool, VolumeInfo
from firstboot.gluster.completion import HELD, behind
from firstboot.gluster.options import option_group, parse_group
from firstboot.gluster.volumes import possible, require_same
from firstboot.gluster.wanted import wanted_volumes
from firstboot.phases import Done, Outcome, Wait
from firstboot.plan import VolumeType
from tests.unit.firstboot.gluster.formed import context, plan

BRICKS = tuple(f"node{n}.lab.trivet.internal:/var/lib/trivet/bricks/data-0/brick" for n in (1, 2, 3))
MADE = VolumeInfo("data", "id", "Replicate", "Created", 3, 0, BRICKS, {})
GROUP = "performance.quick-read=off\nfeatures.shard=on\n"
CLOSED = {"auth.ssl-allow": ",".join(f"{n:032x}" for n in (1, 2, 3)), "client.ssl": "on", "server.ssl": "on"}
STARTED = replace(MADE, status="Started", options=CLOSED)


COMPLETED = [
    "set {'cluster.self-heal-daemon': 'off', 'user.trivet.heal': 'on'}",
    "add replica 3 node3",
    "set {'cluster.self-heal-daemon': 'on'}",
    "heal",
    "set {'user.trivet.heal': 'done'}",
]


def settled(slot: int) -> Peer:
    return Peer(f"{slot}", (f"node{slot}.lab.trivet.internal",), True, "Peer in Cluster")


class FakeGlusterd:
    """One volume at most; what changes it is written down."""

    def __init__(self) -> None:
        self.volume: VolumeInfo | None = None
        self.online: frozenset[str] = frozenset(BRICKS)
        self.peers: tuple[Peer, ...] = tuple(settled(slot) for slot in (2, 3))
        self.done: list[str] = []
        self.create_error = ""
        self.clients: dict[str, tuple[str, ...]] | None = None
        """By brick; none: every client knows all bricks."""

    def create(self, volume: str, layout: tuple[str, ...], bricks: tuple[str, ...]) -> None:
        if self.create_error:
            raise GlusterError("creating", self.create_error)
        self.done.append(f"create {volume} {' '.join(layout)}")
        copies = int(layout[1]) if layout else 1
        self.volume = replace(MADE, bricks=bricks, replica=copies, arbiter=int("arbiter" in layout))

    def add_bricks(self, volume: str, layout: tuple[str, ...], bricks: tuple[str, ...]) -> None:
        assert self.volume is not None
        self.done.append(f"add {' '.join(layout)} {' '.join(brick.partition('.')[0] for brick in bricks)}")
        copies = int(layout[1]) if layout else self.volume.replica
        self.volume = replace(self.volume, bricks=(*self.volume.bricks, *bricks), replica=copies)

    def heal_full(self, volume: str) -> None:
        assert self.volume is not None
        assert self.volume.options.get("cluster.self-heal-daemon") != "off", "nobody heals"
        self.done.append("heal")

    def who_is_connected(self, volume: str) -> dict[str, tuple[str, ...]]:
        assert self.volume is not None
        return dict.fromkeys(self.volume.bricks, ("10.91.7.1",)) if self.clients is None else self.clients

    def set_group(self, volume: str, group: str) -> None:
        self.done.append(f"group {group}")
        self._set(parse_group(GROUP))

    def set_options(self, volume: str, options: Mapping[str, str]) -> None:
        self.done.append(f"set {dict(options)}")
        self._set(options)

    def _set(self, options: Mapping[str, str]) -> None:
        assert self.volume is not None
        self.volume = replace(self.volume, options={**self.volume.options, **options})

    def start(self, volume: str) -> None:
        assert self.volume is not None
        self.done.append("start")
        self.volume = replace(self.volume, status="Started")


@pytest.fixture
def glusterd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGlusterd]:
    fake = FakeGlusterd()
    for name in ("create", "add_bricks", "heal_full", "set_group", "set_options", "start"):
        monkeypatch.setattr(client, name, getattr(fake, name))
    monkeypatch.setattr(client, "clients", fake.who_is_connected)
    monkeypatch.setattr(completion, "LOOK_PAUSE_S", 0.0)
    monkeypatch.setattr(completion, "START_PAUSE_S", 0.0)
    monkeypatch.setattr(client, "volumes", lambda: (fake.volume,) if fake.volume else ())
    monkeypatch.setattr(client, "online_bricks", lambda volume: fake.online)
    monkeypatch.setattr(client, "pool", lambda: Pool("me", fake.peers))
    (tmp_path / "virt").write_text(GROUP)
    monkeypatch.setattr(options, "GROUPS", tmp_path)
    yield fake


def test_a_start_that_failed_on_one_node_is_done_again_there(
    glusterd: FakeGlusterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Staging failed on node2.lab.trivet.internal. Error: Volume data is not started"

    def refuse(volume: str) -> frozenset[str]:
        raise GlusterError("reading", said)

    monkeypatch.setattr(client, "online_bricks", refuse)
    monkeypatch.setattr(client, "start_anew", lambda volume: glusterd.done.append("start anew"))
    glusterd.volume = STARTED
    assert waited(room.form(context(1))) == f"volume data was not started on all nodes: {said}"
    assert glusterd.done == ["start anew"]
    glusterd.peers = tuple(settled(slot) for slot in (1, 3))
    with pytest.raises(GlusterError):
        room.form(context(2))
    assert glusterd.done == ["start anew"]


@pytest.mark.parametrize("connected", [True, False])
def test_nothing_is_changed_while_a_member_is_away(glusterd: FakeGlusterd, connected: bool) -> None:
    glusterd.volume = MADE
    glusterd.peers = (settled(2), replace(settled(3), connected=connected, state="Accepted peer request"))
    assert waited(room.form(context(1))) == "volume data is started once node3 is connected"
    glusterd.peers = (settled(2),)
    assert waited(room.form(context(1))) == "volume data is started once node3 is connected"
    assert glusterd.done == []


def waited(outcome: Outcome) -> str:
    assert isinstance(outcome, Wait)
    return outcome.reason


def test_the_founder_creates_tunes_and_starts(glusterd: FakeGlusterd) -> None:
    assert isinstance(room.form(context(1, of=plan(options={"network.ping-timeout": "11"}))), Done)
    tuned = {"network.ping-timeout": "11", **CLOSED}
    assert glusterd.done == ["create data replica 3", "group virt", f"set {tuned}", "start"]


def test_a_second_run_changes_nothing(glusterd: FakeGlusterd) -> None:
    room.form(context(1))
    glusterd.done.clear()
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.done == []


def test_cut_off_after_the_group(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(MADE, options=parse_group(GROUP))
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.done == [f"set {CLOSED}", "start"], "started open"


def test_cut_off_before_the_start(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(MADE, options={**parse_group(GROUP), **CLOSED})
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.done == ["start"]


def test_an_operators_tuning_of_a_started_volume_is_left_alone(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(STARTED, options={"features.shard": "off", **CLOSED})
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.done == []


@pytest.mark.parametrize("lost", ["auth.ssl-allow", "client.ssl", "server.ssl"])
@pytest.mark.parametrize("status", ["Started", "Stopped"])
def test_a_volume_is_kept_closed(glusterd: FakeGlusterd, status: str, lost: str) -> None:
    others = {name: value for name, value in CLOSED.items() if name != lost}
    glusterd.volume = replace(MADE, status=status, options=others)
    room.form(context(1))
    assert glusterd.done == [f"set {({lost: CLOSED[lost]})}"]


def test_the_name_of_a_former_member_is_taken_off(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(STARTED, options={**CLOSED, "auth.ssl-allow": CLOSED["auth.ssl-allow"] + ",f00d"})
    assert isinstance(room.form(context(1)), Done)
    assert glusterd.done == [f"set {({'auth.ssl-allow': CLOSED['auth.ssl-allow']})}"]


def test_one_node_corrects_the_others_wait_for_it(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(STARTED, options={})
    glusterd.peers = tuple(Peer(str(n), (f"node{n}.lab.trivet.internal",), True, "Peer in Cluster") for n in (1, 3))
    outcome = room.form(context(2))
    assert "volume data is not closed to strangers: auth.ssl-allow, client.ssl, server.ssl" in waited(outcome)
    assert isinstance(outcome, Wait)
    assert "node1 corrects it" in outcome.hint
    assert glusterd.done == []
    glusterd.peers = (replace(glusterd.peers[0], connected=False), glusterd.peers[1])
    assert isinstance(room.form(context(2)), Done)
    assert glusterd.done == [f"set {CLOSED}"]


def test_a_volume_that_was_stopped_is_not_started(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(STARTED, status="Stopped")
    assert "was stopped by an operator" in waited(room.form(context(1)))
    assert glusterd.done == []


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


def test_who_is_behind() -> None:
    assert behind({"a": ("x", "y"), "b": ("y", "x")}, ["a", "b"]) == ""
    assert behind({"a": ("x", "y"), "b": ("x",)}, ["a", "b"]) == "y does not know b yet"
    assert behind({"a": ("x",)}, ["a", "b"]) == "b is offline"
    assert behind({"a": ("x", "z"), "b": ("y", "z")}, ["a", "b"]) == "", "it has two addresses"


def test_what_can_not_be_made_is_waited_for_by_name(glusterd: FakeGlusterd) -> None:
    alone = context(1)
    del alone.members[2], alone.members[3]
    assert waited(room.form(alone)) == "volume data can't be made without node2, node3"
    assert glusterd.done == []
    ((name, none),) = possible(alone, frozenset({1}))
    assert (name, none) == ("data", None)


def test_followers_wait_with_reasons(glusterd: FakeGlusterd) -> None:
    assert waited(room.form(context(2))) == "waiting for node1 to create volume data"
    glusterd.volume = MADE
    assert waited(room.form(context(2))) == "waiting for node1 to start volume data"
    assert glusterd.done == []


def test_offline_bricks_are_named(glusterd: FakeGlusterd) -> None:
    glusterd.volume, glusterd.online = STARTED, frozenset(BRICKS[:2])
    assert BRICKS[2] in waited(room.form(context(1)))


def test_a_dead_nodes_bricks_do_not_hold_up_a_node_that_comes_back(glusterd: FakeGlusterd) -> None:
    glusterd.volume, glusterd.online = STARTED, frozenset(BRICKS[:2])
    glusterd.peers = (Peer("c", ("node3.lab.trivet.internal",), False, "Peer in Cluster"),)
    returning = context(1)
    assert isinstance(room.form(returning), Done)
    returning.finished.add("domains")
    assert BRICKS[2] in waited(room.form(returning))


def test_another_volume_of_that_name_is_refused(glusterd: FakeGlusterd) -> None:
    glusterd.volume = replace(STARTED, bricks=("elsewhere:/b",))
    with pytest.raises(RefusedError, match="but with other bricks: elsewhere:/b"):
        room.form(context(1))
    assert glusterd.done == []


@pytest.mark.parametrize("change", [{"replica": 2}, {"arbiter": 1}, {"bricks": BRICKS[:1], "replica": 1}])
def test_a_volume_of_another_shape_is_refused(change: dict[str, object]) -> None:
    (wanted,) = wanted_volumes(context(1))
    require_same(wanted, MADE)
    with pytest.raises(RefusedError):
        require_same(wanted, replace(MADE, **change))  # type: ignore[arg-type]


def test_a_mark_on_another_node_is_waited_for(glusterd: FakeGlusterd) -> None:
    glusterd.create_error = "/var/lib/trivet/bricks/data-0/brick is already part of a volume"
    assert "left by an attempt that was cut off" in waited(room.form(context(1)))


def test_volumes_without_copies_get_their_own_group() -> None:
    (copies,) = wanted_volumes(context(1))
    (single,) = wanted_volumes(context(1, of=plan(1, kind=VolumeType.DISTRIBUTE, replica=1)))
    assert (option_group(copies.plan, 3), option_group(single.plan, 1)) == ("virt", "distributed-virt")
    assert option_group(copies.plan.model_copy(update={"group": "none"}), 3) is None


def test_group_files() -> None:
    assert parse_group("a.b=on\n# note=1\n\nc-d=4\n") == {"a.b": "on", "c-d": "4"}


def test_a_creation_before_all_know_each_other_is_waited_for(glusterd: FakeGlusterd) -> None:
    glusterd.create_error = "Staging failed on node2. Error: Host node1 not connected"
    assert "Host node1 not connected" in waited(room.form(context(1)))
