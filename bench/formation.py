"""What forming a cluster costs in namespaces, beside a script of bare commands that does the same by hand.

Both start from machines that are on and connected, with a blank disk each, and end with a started volume over all of
them, TLS on both of Gluster's channels, and a storage domain of libvirt mounted on every node. Pairs are interleaved.
The last line is a JSON object: seconds, medians; `ratio` is (ours - 3 s) over the bare script at the smallest
size, the 3 s being what finding each other may cost.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from builder.site.folder import create_site  # noqa: E402
from firstboot.domains.libvirt import render, wanted_pool  # noqa: E402
from firstboot.domains.registrar import Domain  # noqa: E402
from firstboot.paths import DOMAINS, brick_mount, brick_path  # noqa: E402
from firstboot.plan import Plan  # noqa: E402
from tests.netns.agents import Agent, is_formed, wait_until  # noqa: E402
from tests.netns.namespaces import Lab, lab  # noqa: E402
from tests.netns.sites import DISK_BYTES, DOMAIN, VOLUME, make_plan, with_disks  # noqa: E402

ALLOWANCE_S = 3.0
COPIES = 3
SPLIT = {
    "discovery": ("identity", "network", "disks", "discover"),
    "admission": ("admit", "found", "enrol"),
    "pool": ("pool",),
    "volume": ("volumes", "domains"),
}


def plan(nodes: int) -> Plan:
    """The plan of the namespaced tests, with three copies whatever the number of nodes."""
    made = make_plan(nodes)
    volumes = tuple(volume.model_copy(update={"replica": COPIES}) for volume in made.volumes)
    return made.model_copy(update={"volumes": volumes})


def ours(nodes: int) -> dict[str, float]:
    """Seconds from the start of the agents to formed, and by part; a part ends when it ended on the last node."""
    with lab() as place, tempfile.TemporaryDirectory() as folder:
        site = create_site(Path(folder) / "site", "lab", plan(nodes))
        agents = with_disks(place, site, nodes)
        began = time.time()
        for agent in agents:
            agent.start()
        wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
        figures = {"total": time.time() - began}
        ended = began
        for part, phases in SPLIT.items():
            last = max(end(agent, phases[-1]) for agent in agents)
            figures[part], ended = last - ended, last
        for agent in agents:
            agent.stop()
    return figures


def end(agent: Agent, phase: str) -> float:
    """When a node finished a phase, in epoch seconds."""
    status = agent.status
    assert status is not None
    (found,) = [p for p in status.phases if p.name == phase]
    assert found.started is not None
    assert found.duration_s is not None
    return found.started.timestamp() + found.duration_s


def bare(nodes: int) -> dict[str, float]:
    """Seconds of the script by hand."""
    with lab() as place:
        for number in range(1, nodes + 1):
            place.add_node(f"machine{number}", disks=(DISK_BYTES,))
        text = script(place)
        began = time.time()
        done = subprocess.run(["bash", "-eu"], input=text, text=True, capture_output=True, timeout=1800)
        total_s = time.time() - began
        if done.returncode != 0:
            raise SystemExit(f"the bare script failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return {"total": total_s}


def script(place: Lab) -> str:
    """What a person would type, daemons and disks of all nodes at the same time."""
    nodes = place.nodes
    hosts = "".join(f"{node.address} node{node.number}\n" for node in nodes)
    group, mount = brick_path(VOLUME, 0), brick_mount(VOLUME, 0)
    bricks = " ".join(f"node{node.number}:{group}" for node in nodes)
    names = ",".join(f"node{node.number}" for node in nodes)
    on = {node.number: shlex.join(node.argv("sh", "-euc")) for node in nodes}
    root = {node.number: f"/proc/{node.pid}/root" for node in nodes}
    lines = [
        "work=$(mktemp -d)",
        "trap 'rm -rf $work' EXIT",
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=authority "
        "-keyout $work/ca.key -out $work/ca.pem 2>/dev/null",
        "cert() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$1 -keyout $work/$1.key "
        "2>/dev/null | openssl x509 -req -CA $work/ca.pem -CAkey $work/ca.key -CAcreateserial -days 730 "
        "-out $work/$1.pem 2>/dev/null; }",
    ]
    for node in nodes:
        name, at = f"node{node.number}", root[node.number]
        lines += [
            f"cert {name}",
            f"mkdir -p {at}/var/lib/trivet/authority {at}/var/lib/glusterd",
            f"cp $work/{name}.pem {at}/var/lib/trivet/node.pem",
            f"cp $work/{name}.key {at}/var/lib/trivet/node.key",
            f"cp $work/ca.pem {at}/var/lib/trivet/authority/trusted.pem",
            f"touch {at}/var/lib/glusterd/secure-access",
            f"printf %s {shlex.quote(hosts)} >> {at}/etc/hosts",
        ]
    links = " && ".join(
        f"ln -sf {target} /etc/ssl/glusterfs.{kind} && ln -sf {target} /usr/lib/ssl/glusterfs.{kind}"
        for kind, target in (
            ("pem", "/var/lib/trivet/node.pem"),
            ("key", "/var/lib/trivet/node.key"),
            ("ca", "/var/lib/trivet/authority/trusted.pem"),
        )
    )
    for node in nodes:
        device = node.disks[0].device
        prepare = (
            f"{links} && mkfs.xfs -q -i size=512 {device} && mkdir -p {mount} && mount -o inode64,noatime "
            f"{device} {mount} && mkdir {group} && glusterd -p /run/glusterd.pid && "
            "libvirtd --daemon --pid-file /run/libvirtd.pid"
        )
        lines.append(f"{on[node.number]} {shlex.quote(prepare)} &")
    lines.append("wait")
    first = on[1]
    lines += [f"until {on[n.number]} 'gluster pool list' >/dev/null 2>&1; do sleep 0.1; done" for n in nodes]
    lines += [f"{first} 'gluster --mode=script peer probe node{n.number}'" for n in nodes[1:]]
    settled = "gluster --xml pool list | grep -c 'Peer in Cluster'"
    lines += [
        # A person reads `peer status` before going on: a creation meanwhile can hold locks for ten minutes.
        f'until [ "$({on[n.number]} {shlex.quote(settled)})" = {len(nodes) - 1} ]; do sleep 0.1; done'
        for n in nodes
    ]
    create = f"gluster --mode=script volume create {VOLUME} replica {COPIES} {bricks}"
    lines += [
        f"until {first} {shlex.quote(create)}; do sleep 0.2; done",
        f"{first} 'gluster --mode=script volume set {VOLUME} group virt'",
        f"{first} 'gluster --mode=script volume set {VOLUME} client.ssl on server.ssl on auth.ssl-allow {names} "
        "network.ping-timeout 11'",
        f"{first} 'gluster --mode=script volume start {VOLUME}'",
    ]
    for node in nodes:
        others = tuple(f"node{n.number}" for n in nodes if n is not node)
        domain = Domain(DOMAIN, VOLUME, DOMAINS / DOMAIN, (f"node{node.number}", *others))
        xml = render(wanted_pool(domain))
        define = (
            f"mkdir -p {DOMAINS / DOMAIN} && printf %s {shlex.quote(xml)} > /run/pool.xml && "
            f"virsh -q -c qemu:///system pool-define /run/pool.xml && "
            f"virsh -q -c qemu:///system pool-autostart {DOMAIN} && virsh -q -c qemu:///system pool-start {DOMAIN}"
        )
        lines.append(f"{on[node.number]} {shlex.quote(define)} &")
    lines.append("for job in $(jobs -p); do wait $job; done")
    return "\n".join(lines) + "\n"


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(row[key] for row in rows), 2) for key in rows[0]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="3,6,12,24", help="numbers of nodes, multiples of three")
    parser.add_argument("--pairs", type=int, default=5, help="interleaved pairs at each size")
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    figures: dict[str, dict[str, object]] = {}
    for nodes in sizes:
        mine: list[dict[str, float]] = []
        theirs: list[dict[str, float]] = []
        for pair in range(given.pairs):
            mine.append(ours(nodes))
            theirs.append(bare(nodes))
            print(
                f"{nodes} nodes, pair {pair + 1}: ours {mine[-1]['total']:.1f} s, bare {theirs[-1]['total']:.1f} s",
                flush=True,
            )
        figures[str(nodes)] = {"ours": medians(mine), "bare": medians(theirs), "pairs": given.pairs}
    least, most = str(sizes[0]), str(sizes[-1])

    def total(size: str, side: str) -> float:
        found = figures[size][side]
        assert isinstance(found, dict)
        return float(found["total"])

    ratio = (total(least, "ours") - ALLOWANCE_S) / total(least, "bare")
    growth = {side: round(total(most, side) / total(least, side), 2) for side in ("ours", "bare")}
    print(json.dumps({"bench": "formation", "nodes": figures, "ratio": round(ratio, 3), "growth": growth}))


if __name__ == "__main__":
    main()
