"""What `trivet lab status` says: nodes, peers, volumes, domains of one lab; format trivet-lab-status 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from rich.table import Table

from firstboot.model import Model
from firstboot.status import NodeStatus


class LabNode(Model):
    """One machine. `phase` is the agent's (`formed` when done), before it speaks a boot stage, `off` without power.

    `reached` says whether the node answered over ssh; without that the line comes from its serial log.
    """

    number: int
    name: str
    power: Literal["on", "off", "missing"]
    phase: str
    state: str
    reason: str
    hint: str = ""
    since: datetime | None = None
    address: str | None = None
    node_id: str | None = None
    reached: bool = False
    problems: tuple[str, ...] = ()


class LabPeer(Model):
    """How `node` sees `peer` in the trusted storage pool; both are slot names."""

    node: str
    peer: str
    connected: bool


class LabBrick(Model):
    """A brick on a node; online when any reached node says so."""

    node: str
    path: str
    online: bool


class LabVolume(Model):
    """A Gluster volume."""

    name: str
    type: str
    status: str
    bricks: tuple[LabBrick, ...]


class LabDomain(Model):
    """A storage domain; `nodes` gives its state by slot name: active, inactive, missing, unknown."""

    name: str
    registrar: str
    volume: str
    nodes: dict[str, Literal["active", "inactive", "missing", "unknown"]]


class LabLine(Model):
    """A lab of this machine; `problem` says why its state can't be read, else it is empty."""

    name: str
    nodes: int
    running: int
    problem: str = ""


class LabList(Model):
    """`trivet lab list --json`; format trivet-lab-list 1."""

    format: Literal["trivet-lab-list"] = "trivet-lab-list"
    version: str = "1.0"
    labs: tuple[LabLine, ...]


class LabStatus(Model):
    """The whole lab. `formed` = every node of the plan is here, formed and reached."""

    format: Literal["trivet-lab-status"] = "trivet-lab-status"
    version: str = "1.0"
    name: str
    formed: bool
    accelerator: Literal["kvm", "tcg"]
    accelerator_reason: str
    nodes: tuple[LabNode, ...]
    peers: tuple[LabPeer, ...] = ()
    volumes: tuple[LabVolume, ...] = ()
    domains: tuple[LabDomain, ...] = ()


def merge_peers(statuses: Mapping[str, NodeStatus]) -> tuple[LabPeer, ...]:
    """Every node's view of every other."""
    return tuple(
        LabPeer(node=node, peer=peer.name, connected=peer.connected)
        for node, status in sorted(statuses.items())
        for peer in status.peers
    )


def merge_volumes(statuses: Iterable[NodeStatus]) -> tuple[LabVolume, ...]:
    """One entry a volume; the first node that knows it gives its status."""
    volumes: dict[str, LabVolume] = {}
    for status in statuses:
        for volume in status.volumes:
            bricks = tuple(LabBrick(node=b.node, path=b.path, online=b.online) for b in volume.bricks)
            known = volumes.get(volume.name)
            if known is None:
                volumes[volume.name] = LabVolume(
                    name=volume.name, type=volume.type, status=volume.status, bricks=bricks
                )
                continue
            online = {(b.node, b.path) for b in (*known.bricks, *bricks) if b.online}
            merged = tuple(b.model_copy(update={"online": (b.node, b.path) in online}) for b in known.bricks)
            volumes[volume.name] = known.model_copy(update={"bricks": merged})
    return tuple(volumes[name] for name in sorted(volumes))


def merge_domains(names: Iterable[str], statuses: Mapping[str, NodeStatus]) -> tuple[LabDomain, ...]:
    """One entry a domain, with the state on every node of the lab."""
    nodes = list(names)
    found: dict[str, tuple[str, str]] = {}
    for status in statuses.values():
        for domain in status.domains:
            found.setdefault(domain.name, (domain.registrar, domain.volume))
    domains = []
    for name, (registrar, volume) in sorted(found.items()):
        states: dict[str, Literal["active", "inactive", "missing", "unknown"]] = dict.fromkeys(nodes, "unknown")
        for node, status in statuses.items():
            states[node] = next((d.state for d in status.domains if d.name == name), "missing")
        domains.append(LabDomain(name=name, registrar=registrar, volume=volume, nodes=states))
    return tuple(domains)


def tables(status: LabStatus) -> list[Table]:
    """The status for a person."""
    nodes = Table(title=f"lab {status.name}: nodes ({status.accelerator}: {status.accelerator_reason})", expand=False)
    for heading in ("node", "address", "phase", "state", "reason"):
        nodes.add_column(heading)
    for node in status.nodes:
        reason = node.reason + (f"\n{node.hint}" if node.hint else "")
        nodes.add_row(node.name, node.address or "-", node.phase, node.state, reason)
    volumes = Table(title="volumes")
    for heading in ("volume", "type", "status", "bricks online", "nodes"):
        volumes.add_column(heading)
    for volume in status.volumes:
        online = sum(brick.online for brick in volume.bricks)
        where = ", ".join(brick.node if brick.online else f"{brick.node} (offline)" for brick in volume.bricks)
        volumes.add_row(volume.name, volume.type, volume.status, f"{online} of {len(volume.bricks)}", where)
    domains = Table(title="storage domains")
    for heading in ("domain", "registrar", "volume", "state on each node"):
        domains.add_column(heading)
    for domain in status.domains:
        where = ", ".join(f"{node} {state}" for node, state in sorted(domain.nodes.items()))
        domains.add_row(domain.name, domain.registrar, domain.volume, where)
    return [nodes, *([volumes] if status.volumes else []), *([domains] if status.domains else [])]
