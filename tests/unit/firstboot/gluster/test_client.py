"""The typed client reads what glusterd really answers."""

from __future__ import annotations

import pytest

from firstboot.gluster import client
from firstboot.gluster.client import (
    GlusterError,
    NotListeningError,
    UnansweredError,
    explain,
    parse_answer,
    parse_clients,
    parse_pool,
    parse_status,
    parse_volumes,
)
from firstboot.run import Completed
from tests.unit.firstboot.gluster.formed import answer, text

BRICK = "node{}.lab.trivet.internal:/var/lib/trivet/bricks/data-0/brick"


def test_pool_of_three_seen_by_the_founder() -> None:
    pool = parse_pool(answer("pool-list"))
    assert [peer.names for peer in pool.peers] == [("node2.lab.trivet.internal",), ("node3.lab.trivet.internal",)]
    assert all(peer.is_settled for peer in pool.peers)
    assert pool.own_uuid not in {peer.uuid for peer in pool.peers}


def test_a_follower_knows_the_founder_by_its_stable_name() -> None:
    names = {name for peer in parse_pool(answer("pool-list-follower")).peers for name in peer.names}
    assert names == {"node1.lab.trivet.internal", "node3.lab.trivet.internal"}


def test_a_dead_peer_stays_in_the_pool_disconnected() -> None:
    states = {p.names[0]: (p.connected, p.state, p.is_settled) for p in parse_pool(answer("pool-list-down")).peers}
    assert states["node2.lab.trivet.internal"] == (True, "Peer in Cluster", True)
    assert states["node3.lab.trivet.internal"] == (False, "Peer in Cluster", False)


def test_volumes_of_every_shape() -> None:
    shapes = {
        v.name: (v.type, v.status, v.replica, v.arbiter, len(v.bricks))
        for v in parse_volumes(answer("volume-info-many"))
    }
    assert shapes == {
        "arb": ("Replicate", "Created", 3, 1, 3),
        "data": ("Replicate", "Started", 3, 0, 3),
        "dis": ("Distribute", "Created", 1, 0, 3),
        "dr": ("Distributed-Replicate", "Created", 3, 0, 6),
    }


def test_volume_definition() -> None:
    (data,) = [v for v in parse_volumes(answer("volume-info-many")) if v.name == "data"]
    assert data.bricks == tuple(BRICK.format(n) for n in (1, 2, 3))
    assert data.options["network.ping-timeout"] == "30"
    assert data.options["features.shard"] == "on"


def test_no_volumes() -> None:
    assert parse_volumes(answer("volume-info-none")) == ()


def test_online_bricks_leave_out_daemons_and_dead_nodes() -> None:
    assert parse_status(answer("volume-status")) == {BRICK.format(n) for n in (1, 2, 3)}
    assert parse_status(answer("volume-status-down")) == {BRICK.format(n) for n in (1, 2)}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("create-failed", "Staging failed on node3"),
        ("create-dirty", "is already part of a volume"),
        ("start-again", "already started"),
        ("probe-nobody", "its name does not resolve here, or no glusterd listens there"),
    ],
)
def test_a_refusal_is_an_error_though_the_exit_code_is_0(name: str, said: str) -> None:
    with pytest.raises(GlusterError, match=said):
        parse_answer("testing", text(name))


def test_an_unreachable_node_is_told_from_a_refusal() -> None:
    for name, unreachable in (("probe-nobody", True), ("create-failed", False)):
        with pytest.raises(GlusterError) as caught:
            parse_answer("testing", text(name))
        assert caught.value.is_unreachable is unreachable


def test_probing_again_is_no_error() -> None:
    assert answer("probe-again").findtext("opRet") == "0"


def test_no_glusterd() -> None:
    with pytest.raises(NotListeningError):
        parse_answer("reading the pool", "Connection failed. Please check if gluster daemon is operational.\n")


def test_garbage_is_not_taken_for_a_silent_daemon() -> None:
    with pytest.raises(GlusterError, match="no XML") as caught:
        parse_answer("reading the pool", "Segmentation fault")
    assert not isinstance(caught.value, NotListeningError)


def test_the_misleading_sentence_is_explained() -> None:
    said = "peer probe: failed: node2 is either already part of another cluster or having volumes configured"
    assert "TLS" in explain(said)


def test_the_clients_of_every_brick() -> None:
    clients = parse_clients(answer("volume-status-clients"))
    assert set(clients) == {BRICK.format(n) for n in (1, 2, 3)}
    assert {host for hosts in clients.values() for host in hosts} == {f"10.91.7.{n}" for n in (2, 3, 4)}
    assert [len(clients[BRICK.format(n)]) for n in (1, 2, 3)] == [5, 5, 5]


def test_healing_is_told_by_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "Launching heal operation to perform full self heal on volume data has been successful \nUse heal info"
    monkeypatch.setattr(client, "run", lambda argv, **_: Completed(tuple(argv), 0, said, "", 0.0))
    client.heal_full("data")
    refused = "volume heal data full: failed: Self-heal daemon is not running. Check self-heal daemon log file."
    monkeypatch.setattr(client, "run", lambda argv, **_: Completed(tuple(argv), 1, "", refused + "\n", 0.0))
    with pytest.raises(GlusterError, match="Self-heal daemon is not running"):
        client.heal_full("data")


def test_the_cli_gives_up_before_it_is_ended_and_that_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[tuple[str, ...], float]] = []

    def run(argv: list[str], *, timeout_s: float, check: bool) -> Completed:
        ran.append((tuple(argv), timeout_s))
        return Completed(tuple(argv), 1, "Error : Request timed out\n", "", timeout_s)

    monkeypatch.setattr(client, "run", run)
    for ask in (client.pool, lambda: client.create("data", (), ("node1:/srv",))):
        with pytest.raises(UnansweredError, match="did not answer in time; it goes on with it"):
            ask()
    with pytest.raises(GlusterError):
        client.heal_full("data")
    limits = [(int(argv[-1].removeprefix("--timeout=")), timeout_s) for argv, timeout_s in ran]
    assert [own for own, _ in limits] == [client.ASK_LIMIT_S, client.CHANGE_LIMIT_S, client.CHANGE_LIMIT_S]
    assert all(own < timeout_s for own, timeout_s in limits)


def test_a_refusal_is_told_from_no_answer() -> None:
    with pytest.raises(GlusterError) as caught:
        parse_answer("testing", text("create-dirty"))
    assert not isinstance(caught.value, UnansweredError)
    for said in ("", "Segmentation fault", "Connection failed. Please check if gluster daemon is operational."):
        with pytest.raises(UnansweredError):
            parse_answer("testing", said)
