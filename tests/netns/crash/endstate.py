"""What a formed cluster looks like from outside, in words that are the same whichever way it came about."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from firstboot.cluster.claims import ClaimsDocument
from firstboot.gluster.client import VolumeInfo, parse_status
from firstboot.paths import AUTHORITY_ISSUER, CLAIMS, DOMAINS, TRUSTED, brick_mount, brick_path
from tests.netns.agents import Agent
from tests.netns.crash.points import TEMPORARY, normal
from tests.netns.looks import digest, gluster, pool, volumes
from tests.netns.namespaces import Node
from tests.netns.sites import DOMAIN, VOLUME

MARK = "trusted.glusterfs.volume-id"
VARIABLE = re.compile(r"<(uuid|capacity|allocation|available)\b.*?</\1>")


def of_cluster(agents: list[Agent]) -> dict[str, str]:
    """The state of all nodes; compared with that of an undisturbed formation."""
    state: dict[str, str] = {}
    for agent in agents:
        state |= {f"{agent.node.name}: {key}": value for key, value in of_node(agent).items()}
    return state


def of_node(agent: Agent) -> dict[str, str]:
    """One node's part of it."""
    node, journal = agent.node, agent.journal
    claims = ClaimsDocument.model_validate_json(node.read(CLAIMS) or "{}")
    brick = f"/proc/{node.pid}/root{brick_path(VOLUME, 0)}"
    virsh = ("virsh", "-c", "qemu:///system")
    known = {v.id.replace("-", ""): v.name for v in volumes(node)}
    mark = os.getxattr(brick, MARK).hex() if MARK in os.listxattr(brick) else "none"
    return {
        "peers": str(sorted((p.names[0], p.connected, p.state) for p in pool(node).peers)),
        "volumes": str([(v.name, v.type, v.status, v.replica, v.arbiter, v.bricks) for v in volumes(node)]),
        "options": str([options(v, claims) for v in volumes(node)]),
        "online": str(sorted(parse_status(gluster(node, "volume", "status", VOLUME)))),
        "brick is of": known.get(mark, f"a volume that nobody knows, {mark}"),
        "brick": node.run("blkid", "-c", "/dev/null", "-o", "value", "-s", "LABEL", node.disks[0].device).stdout,
        "domain": VARIABLE.sub("", node.run(*virsh, "pool-dumpxml", "--inactive", DOMAIN).stdout),
        "domains": re.sub(r" +", " ", node.run(*virsh, "pool-list", "--all").stdout),
        "mounts": normal(mounts(node)),
        "names": node.read("/etc/hosts") or "",
        "slots": f"{sorted(claims.claims)} founder {claims.founder} {journal.founder_slot}",
        "phases": str(sorted(journal.phases)),
        "files": "\n".join(files(node)),
        "other disks": str([digest(disk) for disk in node.disks[1:]]),
    }


def options(volume: VolumeInfo, claims: ClaimsDocument) -> list[tuple[str, str]]:
    """A volume's options; node ids, which are others in each formation, are named for what they are."""
    members = ",".join(sorted(claims.claims.values()))
    return sorted((name, value.replace(members, "the members")) for name, value in volume.options.items())


def mounts(node: Node) -> str:
    """What is mounted below our folder, and of which kind."""
    lines = [line.split() for line in (node.read("/proc/1/mounts") or "").splitlines() if "trivet" in line]
    return "\n".join(sorted(f"{source} {point} {kind}" for source, point, kind, *_ in lines))


def files(node: Node) -> list[str]:
    """Every file below our folder with its mode; only names, because contents carry ids and times."""
    listed = node.run("find", "/var/lib/trivet", "-xdev", "-printf", "%p %m %y\\n").stdout
    return sorted(listed.splitlines())


def contradictions(agents: list[Agent]) -> list[str]:
    """What nodes must agree on, and don't; empty when there is one cluster."""
    votes = [ClaimsDocument.model_validate_json(agent.node.read(CLAIMS) or "{}") for agent in agents]
    found = []
    if len({json.dumps(v.model_dump(mode="json", exclude={"token"}), sort_keys=True) for v in votes}) != 1:
        found.append(f"the votes differ: {votes}")
    if (
        [v.token for v in votes[1:] if v.token]
        or not votes[0].ready
        or votes[0].token != votes[0].ready.proposal.token
    ):
        found.append(f"not the first alone has the founder's token: {[v.token for v in votes]}")
    own = [agent.status.node_id if agent.status else None for agent in agents]
    if own != [votes[0].claims.get(slot) for slot in range(1, len(agents) + 1)]:
        found.append(f"the slots are not held by these nodes: {own} against {votes[0].claims}")
    seen = [(pool(a.node).own_uuid, {p.uuid for p in pool(a.node).peers}) for a in agents]
    everybody = {uuid for uuid, _ in seen}
    if len(everybody) != len(agents) or any({uuid, *peers} != everybody for uuid, peers in seen):
        found.append(f"no pool of {len(agents)}: {seen}")
    if len({agent.node.read(path) for path in (TRUSTED, AUTHORITY_ISSUER) for agent in agents}) != 2:
        found.append("the nodes hold different cluster authorities")
    if len({str([v.id for v in volumes(agent.node)]) for agent in agents}) != 1:
        found.append("the nodes have different volumes")
    allowed = {v.options.get("auth.ssl-allow") for v in volumes(agents[0].node)}
    if allowed != {",".join(sorted(votes[0].claims.values()))}:
        found.append(f"volumes are not open to exactly the members: {allowed}")
    for agent in agents:
        found += [f"{agent.node.name} has a file left over: {path}" for path in left_over(agent.node)]
    return [*found, *unshared(agents)]


def left_over(node: Node) -> list[str]:
    """Temporary files that nobody is going to rename any more, where nodes write: layers, /run, the brick."""
    inside = Path(f"/proc/{node.pid}/root")
    places = [node.folder / layer for layer in ("etc", "root", "var-lib")]
    places += [inside / path for path in ("run/trivet", "run/issue.d")]
    found = [path for place in places for path in place.rglob(".*")]
    found += (inside / str(brick_mount(VOLUME, 0)).lstrip("/")).glob(".*")
    return sorted(str(path) for path in found if TEMPORARY.match(path.name))


def unshared(agents: list[Agent]) -> list[str]:
    """A file written through one node's storage domain is there for all."""
    first, *others = [agent.node for agent in agents]
    path = DOMAINS / DOMAIN / "written-after-the-crash"
    first.run("sh", "-c", f"echo from {first.name} > {path} && sync -f {path}")
    found = [node.name for node in others if node.run("cat", path).stdout != f"from {first.name}\n"]
    first.run("rm", path)
    return [f"{name} does not see what {first.name} wrote" for name in found]


def differences(clean: dict[str, str], now: dict[str, str]) -> list[str]:
    """Where a state is not the clean run's. Pure."""
    keys = sorted(clean.keys() | now.keys())
    return [f"{k}: {now.get(k)!r}, not {clean.get(k)!r}" for k in keys if now.get(k) != clean.get(k)]
