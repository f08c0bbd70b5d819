"""The trusted storage pool: who is in it, who is missing, who should not be there; only the founder probes."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from firstboot.context import Context, Member
from firstboot.errors import RefusedError
from firstboot.gluster import client, daemon, handshake, heir, store, vacancies
from firstboot.gluster.client import GlusterError, NotListeningError, Peer, Pool
from firstboot.gluster.closing import Closing
from firstboot.phases import Done, Outcome, Wait

log = logging.getLogger(__name__)

LISTEN_LIMIT_S = 120
LISTEN_PAUSE_S = 0.5

_closing = Closing()
_cut_off = daemon.Lasting(store.CUT_OFF_S)


@dataclass(frozen=True)
class Comparison:
    """The pool against the members, this node left out: each is named by its slot's name."""

    settled: tuple[Member, ...]
    unsettled: tuple[tuple[Member, Peer], ...]
    absent: tuple[Member, ...]
    foreign: tuple[Peer, ...]


def compare(pool: Pool, others: tuple[Member, ...]) -> Comparison:
    """Match glusterd's peers with the members by any of their names. Pure."""
    by_name = {name: peer for peer in pool.peers for name in peer.names}
    matched: dict[int, Peer] = {}
    for member in others:
        for name in (member.host_name, member.name, member.data_address, member.address):
            if name in by_name:
                matched[member.slot] = by_name[name]
                break
    known = {peer.uuid for peer in matched.values()}
    return Comparison(
        settled=tuple(m for m in others if m.slot in matched and matched[m.slot].is_settled),
        unsettled=tuple((m, p) for m in others if (p := matched.get(m.slot)) is not None and not p.is_settled),
        absent=tuple(m for m in others if m.slot not in matched),
        foreign=tuple(peer for peer in pool.peers if peer.uuid not in known),
    )


def others(context: Context) -> tuple[Member, ...]:
    """The members without this node, by slot."""
    return tuple(m for slot, m in sorted(context.members.items()) if slot != context.slot.number)


def corrector(context: Context) -> Member | None:
    """Who corrects what one node has to do for all: of those that see each other the lowest slot; None: this node."""
    settled = compare(client.pool(), others(context)).settled
    return next((member for member in settled if member.slot < context.slot.number), None)


def form(context: Context) -> Outcome:
    """Reach a pool of exactly the members; raises RefusedError when glusterd knows anybody else.

    glusterd is closed to strangers before it is started; TrivetError says why it can't be.
    """
    _closing.close(context)
    members = context.document
    if waiting := heir.take(context):
        return waiting
    daemon.start()
    try:
        pool = _wait_for_glusterd(context)
    except GlusterError:
        if not store.half_met():
            raise
        # It can't list a peer whose id it does not know.
        _end_cut_off_meetings(context)
        return Wait("glusterd is being probed", "a probe that was cut off is ended after a few seconds")
    if pool is None:
        return Wait("glusterd was started, but does not answer yet", "look at its log: journalctl -u glusterd")
    heir.note(context, members, pool)
    comparison = compare(pool, others(context))
    # Also where none is looked for: the next one with the same peer has its own time.
    _cut_off.only(_meetings(comparison.unsettled) | store.half_met())
    _refuse_foreign(context, comparison)
    if comparison.absent and context.is_founder:
        for member in comparison.absent:
            context.report(f"taking {member.name} into the pool")
            try:
                client.probe(member.host_name)
            except GlusterError as error:
                return _obstacle(member, error)
        comparison = compare(client.pool(), others(context))
        _refuse_foreign(context, comparison)
    if comparison.absent:
        names = ", ".join(member.name for member in comparison.absent)
        if context.is_founder:
            return Wait(f"{names} not in the pool yet")
        _end_cut_off_meetings(context, comparison.unsettled)
        founder = context.members.get(context.founder_slot or 0)
        # Whom the founder has not taken in sees nobody of the pool, not even the founder.
        whom = "this node" if founder in comparison.absent else names
        return Wait(
            f"waiting for {founder.name if founder else 'the founder'} to take {whom} into the pool",
            "the founder takes in one after the other: trivet-node status there",
        )
    if comparison.unsettled:
        names = ", ".join(f"{member.name} ({_state(peer)})" for member, peer in comparison.unsettled)
        if _comes_back(context) and not any(peer.connected for _, peer in comparison.unsettled):
            return Done(f"pool of {len(context.members)}; {names}")
        _end_cut_off_meetings(context, comparison.unsettled)
        return Wait(f"peers not connected: {names}", "are they powered on, and is glusterd running there?")
    return Done(f"pool of {len(context.members)}")


def _obstacle(member: Member, error: GlusterError) -> Wait:
    """Why a member can't be taken in: what a handshake shows, because glusterd names other causes; else its error."""
    answer = handshake.attempt(member.data_address)
    who = f"glusterd of {member.name} ({member.host_name})"
    if answer.node_id and answer.node_id != member.node_id:
        return Wait(
            f"{who}: another node answers at {member.data_address}: {answer.node_id}",
            "does another machine have that address? Otherwise this ends by itself",
        )
    if answer.trouble or error.is_unreachable:
        return Wait(
            f"{who} {answer.trouble or 'can not be reached yet'}",
            f"it starts once {member.name} has come to the phase pool: trivet-node status there",
        )
    raise error


def _end_cut_off_meetings(context: Context, unsettled: tuple[tuple[Member, Peer], ...] = ()) -> None:
    """Start glusterd again when the other side was cut off in the middle of a probe: it would wait for ever.

    A peer by name alone it has to forget, which is done only where there are no volumes yet.
    """
    names = _meetings(unsettled)
    if not client.volumes():
        names |= store.half_met()
    lasting = _cut_off.due(names, time.monotonic())
    if lasting:
        context.report(f"starting glusterd again: meeting {', '.join(lasting)} was cut off")
        daemon.restart()


def _meetings(unsettled: tuple[tuple[Member, Peer], ...]) -> frozenset[str]:
    return frozenset(member.name for member, peer in unsettled if peer.is_meeting)


def _state(peer: Peer) -> str:
    return peer.state.lower() if peer.connected else "disconnected"


def _comes_back(context: Context) -> bool:
    """Whether this run of the agent is on its way up on a site that is formed already: then a dead peer is a problem
    to be named once it is up, but no reason to keep this node's storage domains from its guests."""
    if "domains" in context.finished or not context.plan.volumes:
        return False
    known = {volume.name for volume in client.volumes() if volume.status != "Created"}
    return all(volume.name in known for volume in context.plan.volumes)


def _refuse_foreign(context: Context, comparison: Comparison) -> None:
    leaving = vacancies.host_names(context)
    foreign = [peer for peer in comparison.foreign if leaving.isdisjoint(peer.names)]
    if foreign:
        names = ", ".join("/".join(peer.names) for peer in foreign)
        raise RefusedError(
            f"glusterd has peers that are no members of this site: {names}",
            hint="if they are left from an earlier life of this machine: gluster peer detach NAME, on one node",
        )


def _wait_for_glusterd(context: Context) -> Pool | None:
    """The pool once glusterd answers: it forks before it listens."""
    deadline = time.monotonic() + LISTEN_LIMIT_S
    while True:
        try:
            return client.pool()
        except NotListeningError as error:
            log.debug("%s", error)
            if time.monotonic() > deadline:
                return None
        context.report("waiting for glusterd to listen")
        time.sleep(LISTEN_PAUSE_S)
