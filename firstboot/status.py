"""What a node says of itself; format trivet-status 1. Always a named reason for waiting."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from firstboot.model import Model


class PhaseState(StrEnum):
    """The state of one phase."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    DONE = "done"


class PhaseStatus(Model):
    """One phase: when it began in this boot, how long it took."""

    name: str
    state: PhaseState
    started: datetime | None = None
    duration_s: float | None = None


class CardStatus(Model):
    """A network card, and the rule that it was chosen by."""

    name: str
    mac: str
    carrier: bool
    rule: str


class NetworkStatus(Model):
    """A network of this node: management, storage or a guest bridge. `link` has the address; no cards: isolated."""

    name: str
    link: str
    address: str | None = None
    vlan: int | None = None
    bond: str | None = None
    cards: tuple[CardStatus, ...] = ()


class PeerStatus(Model):
    """Another member, by its slot's name; `connected` as glusterd sees it.

    `found_by` are the ways by which its address is known: multicast, seed, a DHCP option, a DNS name, or the members.
    """

    name: str
    slot: int
    node_id: str | None = None
    address: str | None = None
    storage_address: str | None = None
    found_by: tuple[str, ...] = ()
    connected: bool


class BrickStatus(Model):
    """A brick, with its node's slot name."""

    node: str
    path: str
    online: bool


class VolumeStatus(Model):
    """A volume as Gluster reports it: `status` is Created, Started or Stopped."""

    name: str
    type: str
    status: str
    bricks: tuple[BrickStatus, ...]


class DomainStatus(Model):
    """A storage domain on this node: state is active, inactive or missing."""

    name: str
    registrar: str
    volume: str
    state: Literal["active", "inactive", "missing"]


class NodeStatus(Model):
    """One node. `phase` is the current phase's name, `unclaimed` without a seed, `formed` at the end.

    `reason` says what the phase waits for or is doing, `hint` what would end the wait, `since` when it began.
    `epoch` is that of the members' document which this node has, `closed_slots` are those that it has nobody in
    and lets nobody claim, `removed_nodes` the ids of those that were members and are never to be again.
    """

    format: Literal["trivet-status"] = "trivet-status"
    version: str = "1.4"
    phase: str
    state: PhaseState
    reason: str
    hint: str = ""
    since: datetime
    node_id: str | None = None
    name: str | None = None
    slot: int | None = None
    site_id: str | None = None
    site_name: str | None = None
    addresses: tuple[str, ...] = ()
    networks: tuple[NetworkStatus, ...] = ()
    unused_cards: tuple[str, ...] = ()
    phases: tuple[PhaseStatus, ...] = ()
    peers: tuple[PeerStatus, ...] = ()
    epoch: int | None = None
    closed_slots: tuple[int, ...] = ()
    removed_nodes: tuple[str, ...] = ()
    volumes: tuple[VolumeStatus, ...] = ()
    domains: tuple[DomainStatus, ...] = ()
    problems: tuple[str, ...] = ()
