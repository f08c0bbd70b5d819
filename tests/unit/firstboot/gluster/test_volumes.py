"""The volumes phase: created once, tuned before the start, never touched afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firstboot.errors import RefusedError
from firstboot.gluster import client
from firstboot.gluster import volumes as room
from firstboot.gluster.client import GlusterError, Peer
from firstboot.gluster.options import option_group, parse_group
from firstboot.gluster.volumes import possible, require_same
from firstboot.gluster.wanted import wanted_volumes
from firstboot.phases import Done, Wait
from firstboot.plan import VolumeType
from tests.unit.firstboot.gluster.formed import context, plan
from tests.unit.firstboot.gluster.onevolume import BRICKS, CLOSED, GROUP, MADE, STARTED, FakeGlusterd, settled, waited


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
