"""What is in place before a real glusterd starts on a node, and that it does not start when something is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from firstboot.cluster import authority as authorities
from firstboot.network import packetfilter
from firstboot.paths import GLUSTERD_OPTIONS, GLUSTERD_PORT, NODE_CERTIFICATE, PACKET_FILTER, SECURE_ACCESS
from tests.netns.authority import LONG_AGO, Material, issue
from tests.netns.intruder import connects
from tests.netns.looks import listening
from tests.netns.namespaces import GLUSTERD_OPTIONS as SHIPPED_OPTIONS
from tests.netns.namespaces import Lab, Node, command, die_with_parent

CLOSER = Path(__file__).parent / "closer.py"
AUTHORITY, OTHER = authorities.create("lab"), authorities.create("lab")
LISTEN = "import socket, sys; s = socket.create_server(('', int(sys.argv[1]))); print('ready', flush=True); input()"


def start_closed(node: Node, node_id: str, *others: str) -> str:
    """What the phase pool does first: `started`, or why not."""
    return node.run(sys.executable, CLOSER, node_id, node.address, *others).stdout.strip()


def table(node: Node) -> str:
    return node.run("nft", "list", "table", *packetfilter.TABLE.split(), check=False).stdout


def listens(node: Node) -> bool:
    return f":{GLUSTERD_PORT} " in listening(node)


def test_glusterd_starts_closed_or_not_at_all(machines: Lab) -> None:
    node = machines.add_node("machine1")
    good = issue(AUTHORITY)
    foreign = issue(OTHER)
    bad: dict[str, Material] = {
        "don't belong together": replace(good, key=foreign.key),
        "is of another authority than those of": replace(good, trusted=OTHER.trusted_pem),
        "expired on": issue(AUTHORITY, when=LONG_AGO),
        "has no certificate that can be read": replace(good, certificate="scrap"),
    }
    assert "node.key is not there" in start_closed(node, good.node_id)
    for words, material in bad.items():
        material.install(node)
        assert words in start_closed(node, material.node_id)
    foreign.install(node)
    assert f"is of node {foreign.node_id}, not of {good.node_id}" in start_closed(node, good.node_id)
    good.install(node)
    for words, spoil, mend in SPOILERS:
        spoil(node)
        assert words in start_closed(node, good.node_id), words
        mend(node)
    assert not listens(node)
    assert node.read("/run/systemctl.log") is None, "glusterd was started"
    assert not node.read(SECURE_ACCESS)
    assert start_closed(node, good.node_id, "10.91.7.2") == "started"
    assert listens(node)
    assert packetfilter.is_same(packetfilter.ruleset([node.address, "10.91.7.2"]), table(node))
    shown = node.run(sys.executable, "-c", SHAKE).stdout.strip()
    assert shown == f"node {good.node_id}, trouble ''"


SHAKE = (
    "from firstboot.gluster.handshake import attempt; "
    "answer = attempt('127.0.0.1'); print(f'node {answer.node_id}, trouble {answer.trouble!r}')"
)


def ports(node: Node, text: bytes) -> None:
    node.write(GLUSTERD_OPTIONS, text)


def _own_file(node: Node) -> None:
    node.run("rm", "/etc/ssl/glusterfs.pem")
    node.write("/etc/ssl/glusterfs.pem", b"an operator's own")


Spoiler = tuple[str, Callable[[Node], object], Callable[[Node], object]]
SPOILERS: tuple[Spoiler, ...] = (
    (
        "gives bricks the ports 49152 to 60999; the packet filter guards 50152 to 52151",
        lambda node: ports(node, b"option max-port 60999\n"),
        lambda node: ports(node, SHIPPED_OPTIONS.read_bytes()),
    ),
    (
        "/etc/ssl/glusterfs.pem is not a link to",
        _own_file,
        lambda node: node.run("rm", "/etc/ssl/glusterfs.pem"),
    ),
    (
        "the packet filter can't be loaded",
        lambda node: node.run("mount", "--bind", "/bin/false", "/usr/sbin/nft"),
        lambda node: node.run("umount", "/usr/sbin/nft"),
    ),
)


def test_by_hand_it_starts_closed_or_not_at_all_too(machines: Lab) -> None:
    node = machines.add_node("machine1")
    by_hand = ("systemctl", "start", "glusterd")
    assert f"{SECURE_ACCESS} is not there" in node.run(*by_hand, check=False).stderr
    node.write(SECURE_ACCESS, b"")
    assert f"{NODE_CERTIFICATE} is not there" in node.run(*by_hand, check=False).stderr
    issue(AUTHORITY).install(node)
    assert node.run(*by_hand, check=False).returncode != 0, "without a packet filter"
    assert not listens(node)
    node.write(PACKET_FILTER, packetfilter.ruleset([]).encode())
    node.run("nft", "-f", PACKET_FILTER)
    node.run(*by_hand)
    assert listens(node)


def test_an_open_glusterd_is_ended_and_started_closed(machines: Lab) -> None:
    node = machines.add_node("machine1")
    node.run("glusterd", "-p", "/run/glusterd.pid")
    good = issue(AUTHORITY)
    assert "node.key is not there" in start_closed(node, good.node_id)
    assert not listens(node), "it stayed open because a certificate was missing"
    good.install(node)
    node.write(SECURE_ACCESS, b"")
    node.run("rm", SECURE_ACCESS)
    node.run("sh", "-c", "glusterd -p /run/glusterd.pid && until gluster pool list > /srv/pool; do sleep 0.1; done")
    node.write(SECURE_ACCESS, b"")
    assert start_closed(node, good.node_id) == "started"
    assert (node.read("/run/systemctl.log") or "").splitlines()[-2:] == ["stop glusterd", "start glusterd"]
    assert node.run(sys.executable, "-c", SHAKE).stdout.strip() == f"node {good.node_id}, trouble ''"


def test_the_filter_stands_when_the_network_comes_up_and_beside_others(machines: Lab) -> None:
    node, member, intruder = (machines.add_node(name) for name in ("machine1", "member", "intruder"))
    good = issue(AUTHORITY)
    good.install(node)
    node.run("nft", "add", "table", "inet", "operators-own")
    assert start_closed(node, good.node_id, member.address) == "started"
    assert "operators-own" in node.run("nft", "list", "tables").stdout
    node.power_off()
    node.power_on()
    assert packetfilter.is_same(packetfilter.ruleset([node.address, member.address]), table(node))
    with listener(node, GLUSTERD_PORT):
        assert connects(member, node.address, GLUSTERD_PORT)
        assert not connects(intruder, node.address, GLUSTERD_PORT)


def test_guests_reach_the_world_but_not_gluster(machines: Lab) -> None:
    host, far, guest = (machines.add_node(name) for name in ("machine1", "far", "guest"))
    bridge(host)
    plug(guest, into=host)
    good = issue(AUTHORITY)
    good.install(host)
    assert start_closed(host, good.node_id) == "started"
    # Where the kernel can: bridged packets go through packet filters, as they do on many hypervisors.
    host.run("sysctl", "--write", "net.bridge.bridge-nf-call-iptables=1", check=False)
    with listener(far, GLUSTERD_PORT):
        assert connects(guest, far.address, GLUSTERD_PORT), "bridged"
        assert not connects(guest, host.address, GLUSTERD_PORT)
        route(guest, through=host, to=far)
        assert connects(guest, far.address, GLUSTERD_PORT), "routed"
        assert not connects(guest, "192.0.2.1", GLUSTERD_PORT)
    assert {guest.address, "192.0.2.9"} <= packetfilter.refused(table(host)).keys()


@contextmanager
def listener(node: Node, port: int) -> Iterator[None]:
    """Somebody who takes connections on a port."""
    process = subprocess.Popen(
        node.argv(sys.executable, "-c", LISTEN, str(port)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.communicate(b"\n", timeout=60)


def bridge(host: Node) -> None:
    """As systemd-networkd does it for a guest bridge: the card in the bridge, the address on it."""
    host.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
    host.run(
        "ip", "link", "add", "br0", "address", host.mac, "type", "bridge", "mcast_snooping", "0", "forward_delay", "0"
    )
    host.run("ip", "link", "set", "eth0", "master", "br0")
    host.run("ip", "link", "set", "br0", "up")
    host.run("ip", "address", "add", f"{host.address}/24", "brd", "+", "dev", "br0")


def plug(guest: Node, *, into: Node) -> None:
    """Take the guest off the switch, and give it a card whose other end is in the host's bridge."""
    guest.run("ip", "link", "set", "eth0", "down")
    enter = ("nsenter", f"--target={into.pid}", "--net", "ip", "link")
    command(*enter, "add", "guest0", "type", "veth", "peer", "name", "card0", "netns", str(guest.pid))
    command(*enter, "set", "guest0", "master", "br0", "up")
    guest.run("ip", "link", "set", "card0", "up")
    guest.run("ip", "address", "flush", "dev", "eth0")
    guest.run("ip", "address", "add", f"{guest.address}/24", "brd", "+", "dev", "card0")


def route(guest: Node, *, through: Node, to: Node) -> None:
    """Put the guest into a subnet of its own behind the host, as libvirt's routed networks do."""
    through.run("ip", "address", "add", "192.0.2.1/24", "dev", "br0")
    through.run("sysctl", "--write", "net.ipv4.ip_forward=1")
    to.run("ip", "route", "add", "192.0.2.0/24", "via", through.address)
    guest.run("ip", "address", "flush", "dev", "card0")
    guest.run("ip", "address", "add", "192.0.2.9/24", "dev", "card0")
    guest.run("ip", "route", "replace", "default", "via", "192.0.2.1")
