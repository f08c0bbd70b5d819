"""What runs from the phase discover on, and what it says of this node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from firstboot.cluster.assembly import Assembly
from firstboot.cluster.claims import Ballot
from firstboot.cluster.exchange import FORMING_S, KEEPING_S, Exchange
from firstboot.cluster.roster import reached
from firstboot.cluster.server import AdmissionServer
from firstboot.cluster.tls import Credentials
from firstboot.cluster.views import View
from firstboot.cluster.watch import Watch
from firstboot.context import Context
from firstboot.reporter import FORMED


@dataclass
class Running:
    """The parts of formation, tied together by firstboot.cluster.membership."""

    ballot: Ballot
    server: AdmissionServer
    exchange: Exchange
    watch: Watch
    assembly: Assembly
    member: Credentials | None = None
    """What the service shows to members now."""
    shown: Mapping[int, object] = field(default_factory=dict)
    """What the others showed last of where they are, by slot."""


def view_of(running: Running, context: Context, phase: str, asked_by: str | None) -> View:
    """This node's view, for the node that asks."""
    ballot, watch, seed = running.ballot, running.watch, context.claimed_seed
    members = running.assembly.members
    # One and the same for all fields, whatever is voted, or looked at, meanwhile.
    votes, look = ballot.votes, context.look
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
        members=running.assembly.council.digest_of(members) if members is not None else None,
        reached=reached(ballot.roster),
        places=context.places,
        empty=context.empty,
        authority=context.authority,
        certified=context.certified,
        healing=look.healing,
        looked=look.epoch,
        clock=watch.clocks.source,
        facts=watch.facts(),
        is_copy=watch.twins.is_copy,
        you=watch.twins.known(asked_by) if asked_by is not None else None,
    )


def pace(running: Running, context: Context) -> bool:
    """Visit each other often while something is to be agreed on; whether the others show something new."""
    members, others = running.assembly.members, running.assembly.answering()
    coming = members is not None and any(view.phase != FORMED for view in others.values())
    busy = "domains" not in context.finished or coming or (members is not None and members.in_transition)
    running.exchange.pace(FORMING_S if busy and not running.assembly.removal else KEEPING_S)
    shown = {
        slot: (view.phase, view.epoch, view.certified, view.healing, view.looked) for slot, view in others.items()
    }
    is_new, running.shown = shown != running.shown, shown
    return is_new
