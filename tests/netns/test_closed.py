"""Gluster of a formed cluster against machines that are no members, and against changes by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from builder.site.folder import Site
from firstboot.cluster import authority as authorities
from firstboot.network import packetfilter
from firstboot.paths import ADMISSION_PORT, BRICK_PORTS, GLUSTERD_PORT
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.authority import LONG_AGO, Material, authority_of, issue, stolen_from
from tests.netns.conftest import Cluster
from tests.netns.intruder import Intruder, connects
from tests.netns.looks import gluster, pool, volumes
from tests.netns.namespaces import Lab, Node
from tests.netns.sites import DISK_BYTES, VOLUME, make_seed

GLUSTERD_LOG = "/var/log/glusterfs/glusterd.log"


def table(node: Node) -> str:
    return node.run("nft", "list", "table", *packetfilter.TABLE.split()).stdout


def refused(node: Node) -> dict[str, int]:
    return packetfilter.refused(table(node))


def brick_port(node: Node) -> int:
    """The port of the node's own brick."""
    listed = gluster(node, "volume", "status", VOLUME).iterfind("volStatus/volumes/volume/node")
    own = [one for one in listed if one.findtext("peerid") == pool(node).own_uuid]
    return next(int(one.findtext("port", "")) for one in own if one.findtext("path", "").startswith("/"))


def bricks_log(node: Node) -> str:
    return node.run("sh", "-c", "cat /var/log/glusterfs/bricks/*.log").stdout


def test_a_prober_in_a_tight_loop_gets_nowhere_from_power_on_until_formed(machines: Lab, one_slot: Site) -> None:
    intruder = Intruder(machines)
    node = machines.add_node("machine1", disks=(DISK_BYTES,))
    intruder.probe_on_and_on(node.address)
    agent = Agent(node, make_seed(one_slot, 1, node.disks[0].device))
    agent.start()
    wait_until("formed", [agent], lambda: is_formed(agent))
    wait_until("it was probed while glusterd listened", [agent], lambda: intruder.node.address in refused(node))
    wait_until("the node names the intruder", [agent], lambda: says_refused(agent, intruder))
    codes = intruder.end_probes()
    assert len(codes) > 20, "that was no tight loop"
    assert "0" not in codes
    assert pool(node).peers == ()
    assert pool(intruder.node).peers == ()
    assert [volume.name for volume in volumes(node)] == [VOLUME]


def says_refused(agent: Agent, intruder: Intruder) -> bool:
    line = f"{intruder.node.address} is no member's address: the packet filter refused it"
    return line in agent.logs[-1].read_text()


def test_members_alone_reach_gluster(cluster: Cluster) -> None:
    first, second, third = (agent.node for agent in cluster.agents)
    intruder = Intruder(cluster.lab)
    intruder.learn_names(first)
    port = brick_port(first)
    assert port in BRICK_PORTS
    for member in (second, third):
        assert connects(member, first.address, GLUSTERD_PORT)
        assert connects(member, first.address, port)
    local = first.run("ip", "-6", "-oneline", "address", "show", "dev", "eth0", "scope", "link").stdout.split()[3]
    for address in (first.address, f"{local.partition('/')[0]}%eth0"):
        assert not intruder.connects(address, GLUSTERD_PORT)
        assert not intruder.connects(address, port)
        assert intruder.connects(address, ADMISSION_PORT), "only Gluster is closed"
    assert not intruder.ask(first.address, "pool", "list")
    assert not intruder.mount(first.address)
    assert refused(first)[intruder.node.address] >= 4
    assert any(":" in address for address in refused(first)), "the IPv6 address is not named"
    diagnosis = json.loads(first.run(*Agent.argv_of("doctor", "--json"), check=False).stdout)
    ours = [f for f in diagnosis["findings"] if f["check"] in ("certificate", "gluster TLS", "packet filter")]
    *well, strangers = ours
    assert [f["verdict"] for f in well] == ["pass"] * 7, well
    assert (strangers["about"], strangers["verdict"]) == ("strangers", "warn")
    assert intruder.node.address in strangers["evidence"]
    intruder.node.power_off()


def test_a_volume_is_kept_closed(cluster: Cluster) -> None:
    node = cluster.agents[2].node
    wanted = ",".join(sorted(agent.journal.node_id or "" for agent in cluster.agents))
    opened = f"{wanted},{'f' * 32}"
    node.run("gluster", "--mode=script", "volume", "set", VOLUME, "auth.ssl-allow", opened)
    assert allowed(node) == opened
    wait_until("closed again", cluster.agents, lambda: allowed(node) == wanted)


def allowed(node: Node) -> str:
    (volume,) = volumes(node)
    assert {"client.ssl": "on", "server.ssl": "on"}.items() <= volume.options.items()
    return volume.options["auth.ssl-allow"]


Armed = Callable[[Cluster], Material | None]


def no_certificate(_: Cluster) -> None:
    return None


def of_another_authority(cluster: Cluster) -> Material:
    """It trusts the cluster, but the cluster does not trust it."""
    material = issue(authorities.create("lab"))
    return replace(material, trusted=authority_of(cluster.agents[0].node).trusted_pem)


def expired(cluster: Cluster) -> Material:
    return issue(authority_of(cluster.agents[0].node), when=LONG_AGO)


def of_no_member(cluster: Cluster) -> Material:
    """Of the cluster's own authority."""
    return issue(authority_of(cluster.agents[0].node))


@pytest.fixture(scope="module")
def let_in(cluster: Cluster) -> Iterator[Intruder]:
    """An intruder that has got past every packet filter: what else keeps it away?"""
    intruder = Intruder(cluster.lab, "insider")
    intruder.learn_names(cluster.agents[0].node)
    for agent in cluster.agents:
        agent.stop()
        agent.node.run(
            "nft", "add", "element", *packetfilter.TABLE.split(), "members4", f"{{ {intruder.node.address} }}"
        )
    yield intruder
    intruder.node.power_off()
    for agent in cluster.agents:
        agent.start()
    wait_until("formed again", cluster.agents, lambda: all(is_formed(agent) for agent in cluster.agents))
    for agent in cluster.agents:
        assert intruder.node.address not in table(agent.node)
        assert "the packet filter was loaded: it was another" in agent.logs[-1].read_text()


@pytest.mark.parametrize(
    ("armed", "logged"),
    [
        (no_certificate, "wrong version number"),
        (of_another_authority, "certificate verify failed"),
        (expired, "certificate verify failed"),
        (of_no_member, "Rejecting management handshake request from unknown peer"),
    ],
)
def test_whoever_gets_past_the_packet_filter_meets_tls(
    cluster: Cluster, let_in: Intruder, armed: Armed, logged: str
) -> None:
    node = cluster.agents[0].node
    before, known = pool(node), len(node.read(GLUSTERD_LOG) or "")
    material = armed(cluster)
    if material is not None:
        let_in.arm(material)
    assert let_in.connects(node.address, GLUSTERD_PORT)
    let_in.probe(node.address)
    assert not let_in.mount(node.address)
    # Management TLS trusts whoever the authority vouches for: that is why it vouches for members alone.
    assert let_in.ask(node.address, "pool", "list") is (armed is of_no_member)
    assert logged in (node.read(GLUSTERD_LOG) or "")[known:]
    if armed is of_no_member:
        assert "Authentication failed" in let_in.mount_log()
        assert any("Cannot authenticate client" in bricks_log(agent.node) for agent in cluster.agents)
    assert pool(node) == before


def test_a_members_own_certificate_is_all_that_was_missing(cluster: Cluster, let_in: Intruder) -> None:
    let_in.arm(stolen_from(cluster.agents[1].node))
    assert let_in.mount(cluster.agents[0].node.address)
