"""What runs from the phase discover on, and what it says of this node."""

from __future__ import annotations

from dataclasses import dataclass

from firstboot.cluster.assembly import Assembly
from firstboot.cluster.claims import Ballot
from firstboot.cluster.discovery import Discovery
from firstboot.cluster.exchange import Exchange
from firstboot.cluster.server import AdmissionServer
from firstboot.cluster.tls import Credentials
from firstboot.cluster.views import View
from firstboot.cluster.watch import Watch
from firstboot.context import Context


@dataclass
class Running:
    """The parts of formation, tied together by firstboot.cluster.membership."""

    ballot: Ballot
    server: AdmissionServer
    discovery: Discovery
    exchange: Exchange
    watch: Watch
    assembly: Assembly
    member: Credentials | None = None
    """What the service shows to members now."""


def view_of(running: Running, context: Context, phase: str, asked_by: str | None) -> View:
    """This node's view, for the node that asks."""
    ballot, watch, seed = running.ballot, running.watch, context.claimed_seed
    members = running.assembly.members
    votes = ballot.votes  # one and the same for all fields, whatever is voted meanwhile
    return View(
        node_id=ballot.identity.node_id,
        slot=seed.slot.number,
        seed_id=seed.slot.seed_id,
        phase=phase,
        ready_disks="disks" in context.finished,
        claims=dict(votes.claims),
        releases=dict(votes.releases),
        attempt=votes.attempt,
        ready=votes.ready,
        founder=votes.founder,
        run=ballot.identity.run,
        address=context.address,
        storage_address=context.storage_address,
        epoch=members.epoch if members is not None else None,
        authority=context.authority,
        certified=context.certified,
        healing=context.healing,
        clock=watch.clocks.source,
        facts=watch.facts(),
        is_copy=watch.twins.is_copy,
        you=watch.twins.known(asked_by) if asked_by is not None else None,
    )
