"""The phases discover, admit, found and enrol: the parts of formation tied together for one run of the agent."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firstboot import paths
from firstboot.cluster import attempts, enrolment, names
from firstboot.cluster.answers import Answers
from firstboot.cluster.assembly import Assembly
from firstboot.cluster.claims import Ballot
from firstboot.cluster.client import Claimant
from firstboot.cluster.events import Found, Identity, Outside, WaitFor
from firstboot.cluster.exchange import FORMING_S, HURRIED_S, KEEPING_S, Exchange
from firstboot.cluster.founder import short
from firstboot.cluster.members import Members
from firstboot.cluster.roster import Contact, reached
from firstboot.cluster.search import Search
from firstboot.cluster.server import AdmissionServer
from firstboot.cluster.tls import Credentials, client_context, server_context
from firstboot.cluster.views import View
from firstboot.cluster.watch import Watch
from firstboot.context import Context, Member
from firstboot.errors import TrivetError
from firstboot.network import connections
from firstboot.network.facts import read_links
from firstboot.network.packetfilter import THE_FILTER
from firstboot.phases import Done, Outcome, Wait
from firstboot.plan import SlotPlan
from firstboot.state import Journal, KnownMember
from firstboot.status import NodeStatus, PeerStatus

log = logging.getLogger(__name__)


@dataclass
class _Running:
    """What runs from the discover phase on."""

    ballot: Ballot
    server: AdmissionServer
    exchange: Exchange
    watch: Watch
    assembly: Assembly
    member: Credentials | None = None
    """What the service shows to members now."""


class Membership:
    """Formation of one agent. Its steps are phases; `close` ends its threads and sockets."""

    def __init__(
        self,
        journal: Journal,
        *,
        status: Callable[[], NodeStatus],
        clock: Callable[[], float],
        claims_path: Path = paths.CLAIMS,
        register_path: Path = paths.REGISTER,
        port: int = paths.ADMISSION_PORT,
    ) -> None:
        self._journal = journal
        self._status = status
        self._clock = clock
        self._claims_path = claims_path
        self._register_path = register_path
        self._port = port
        self._search: Search | None = None
        self._running: _Running | None = None
        self._following = threading.Lock()

    def announce(self, context: Context) -> tuple[str, ...]:
        """Announce this node on the addresses that it has now; those, or none."""
        if self._search is None:
            remembered = self._remembered(context.slot.number)
            self._search = Search(
                context, remembered=remembered, port=self._port, clock=self._clock, status=self._status
            )
        return self._search.follow()

    def discover(self, context: Context) -> Outcome:
        """Open the admission service, announce this node, begin to visit the others."""
        addresses = self.announce(context)
        if self._running is None:
            self._running = self._open(context)
        return (
            Done(f"announced on {', '.join(addresses)}") if addresses else Wait("no address to announce this node on")
        )

    def admit(self, context: Context) -> Outcome:
        """Wait until every slot is claimed here, all others granted this node's claim, and all answer."""
        running = self._active()
        self._update(context)
        for address in running.watch.twins.suspects:
            running.exchange.met(context.slot.number, address)
        out = running.watch.keep_out()
        if out is not None:
            return out
        missing = running.ballot.obstacle() if not running.assembly.is_member else None
        if missing is not None:
            refusal = running.assembly.refusal
            said = f". Looked for by {self._searching.said()}" if "not appeared" in missing.reason else ""
            return Wait(missing.reason + (f"; {refusal}" if refusal else "") + said, missing.hint)
        trouble = running.watch.admit(context)
        if trouble is not None:
            return trouble
        self._keep_members(context, running)
        return Done(", ".join(f"{m.name} at {m.address}" for m in context.members.values()))

    def _keep_members(self, context: Context, running: _Running) -> None:
        """Keep the members' names, and what is remembered of them, to where they answered last."""
        with self._following:
            before, context.members = context.members, self._members(context, running)
            names.keep(context.members.values())
            if _addresses(before) != _addresses(context.members):
                THE_FILTER.follow(member.data_address for member in context.members.values())
            connections.drop(_addresses(before) - _addresses(context.members))
            self._journal.know_members({slot: _known(member) for slot, member in context.members.items()})

    def _follow(self, context: Context) -> None:
        """After each round of visits: follow addresses that changed, this node's own too.

        Not left to the phases: their checks talk to Gluster, which waits for whoever is not where it was.
        """
        running = self._running
        if running is None:
            return
        running.assembly.follow()
        self._searching.follow()
        if "admit" in context.finished:
            self._keep_members(context, running)

    def found(self, context: Context) -> Outcome:
        """Decide who founds, once and for good."""
        running = self._active()
        self._update(context)
        decision = running.ballot.standing()
        running.assembly.follow_decision()
        members = running.assembly.members
        if members is not None and running.assembly.is_member:
            context.founder_slot = members.founder
        if isinstance(decision, Outside) and context.founder_slot is not None:
            running.exchange.pause_s = FORMING_S if "domains" not in context.finished else KEEPING_S
            return Done("this node joined the cluster")
        if isinstance(decision, WaitFor):
            return Wait(decision.reason, decision.hint, retry_s=HURRIED_S if running.ballot.hurried else None)
        self._journal.decide_founder(decision.slot)
        running.exchange.pause_s = FORMING_S if "domains" not in context.finished else KEEPING_S
        founder = self._names(context)[decision.slot]
        return Done(
            "this node founds the cluster" if isinstance(decision, Found) else f"{founder} founds the cluster"
        )

    def enrol(self, context: Context) -> Outcome:
        """Become a member: hold the cluster authority, and a certificate of it; renew that long before its end."""
        running = self._active()
        self._update(context)
        trouble = running.watch.enrol(context)
        if trouble is not None:
            return trouble
        outcome = enrolment.step(context, before="enrol" in self._journal.document.phases)
        credentials = enrolment.member_credentials()
        if credentials is not None and credentials != running.member:
            running.server.members, running.member = server_context(credentials), credentials
        return outcome

    @property
    def ballot(self) -> Ballot | None:
        """This node's part in formation, once it has begun."""
        return self._running.ballot if self._running is not None else None

    def before_pool(self, context: Context) -> Wait | None:
        """Why there must be no pool yet."""
        self._update(context)
        return self._active().watch.before_pool(context)

    def peers(self, context: Context) -> tuple[PeerStatus, ...]:
        """The other slots as mutual TLS sees them; for sites without Gluster, and before its pool."""
        roster = self._running.ballot.roster if self._running is not None else None
        claims = self._running.ballot.claims if self._running is not None else {}
        return tuple(
            self._peer(slot, claims.get(slot.number), roster.contacts.get(slot.number) if roster else None)
            for slot in context.plan.slots
            if slot.number != context.slot.number
        )

    def _peer(self, slot: SlotPlan, node_id: str | None, contact: Contact | None) -> PeerStatus:
        address = contact.address if contact else None
        return PeerStatus(
            name=slot.name,
            slot=slot.number,
            node_id=node_id,
            address=address,
            storage_address=contact.storage_address if contact else None,
            found_by=self._searching.found_by(slot.number, address) if address else (),
            connected=contact is not None and contact.reachable,
        )

    def problems(self, context: Context) -> list[str]:
        """Machines that answer for a slot which another node holds, and what else is wrong between the members."""
        if self._running is None:
            return []
        rivals = self._running.ballot.roster.rivals
        second = [
            f"a second machine has the seed of slot {rival.slot}: node {short(node)} at {rival.address}"
            for node, rival in sorted(rivals.items())
            if node != self._running.ballot.identity.node_id
        ]
        return second + self._running.watch.problems(context) + self._running.assembly.problems()

    def close(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.exchange.close()
            running.assembly.close()
            running.server.close()
        if self._search is not None:
            self._search.close()

    def _active(self) -> _Running:
        assert self._running is not None, "a phase before discover asked for the members"
        return self._running

    @property
    def _searching(self) -> Search:
        assert self._search is not None, "a phase before network asked for the members"
        return self._search

    def _open(self, context: Context) -> _Running:
        seed = context.claimed_seed
        assert context.node_id is not None, "identity comes first"
        slots = self._names(context)
        identity = Identity(seed.slot.number, context.node_id, seed.slot.seed_id, slots, run=secrets.token_hex(16))
        ballot = Ballot(
            self._claims_path,
            identity,
            site_id=seed.site.id,
            clock=self._clock,
            founder=self._journal.document.founder_slot,
            cluster_exists="pool" in self._journal.document.phases,
        )
        watch = Watch(
            identity,
            context,
            self._journal,
            read_links(),
            asked=lambda: _asked(slots, ballot, assembly.members),
            monotonic=self._clock,
        )
        assembly = Assembly(
            ballot,
            site_id=seed.site.id,
            names=slots,
            credentials=lambda: (context.claim_credentials, enrolment.member_credentials()),
            clock=self._clock,
            port=self._port,
            path=self._register_path,
            expected="enrol" in self._journal.document.phases,
        )
        exchange = Exchange(
            ballot,
            hints=self._searching.hints,
            peers=self._searching.peers,
            port=self._port,
            context=client_context(context.claim_credentials),
            site_id=seed.site.id,
            claimant=Claimant(seed.slot.number, ballot.identity.node_id),
            updated=lambda: self._follow(context),
            hear=watch.clocks.hear,
            twins=watch.twins,
        )
        answers = Answers(
            ballot,
            view=lambda node_id: self._view(context, node_id),
            status=self._status,
            met=exchange.met,
            claimed=exchange.go,
            enrol=lambda role: enrolment.answer(
                assembly.members, role, watch.clocks.refusal(context.views, role.slot)
            ),
            members=assembly.answer,
        )
        try:
            server = AdmissionServer(
                server_context(context.claim_credentials), site_id=seed.site.id, port=self._port, answer=answers
            )
        except OSError as error:
            raise TrivetError(
                f"TCP port {self._port} can't be opened: {error.strerror}",
                hint=f"what holds it: ss -ltnp 'sport = {self._port}'",
            ) from error
        running = _Running(ballot, server, exchange, watch, assembly)
        self._running = running
        server.serve()
        exchange.start()
        self._searching.begin(exchange)
        return running

    def _remembered(self, own_slot: int) -> tuple[str, ...]:
        return tuple(m.address for slot, m in self._journal.document.members.items() if slot != own_slot)

    def _view(self, context: Context, asked_by: str | None = None) -> View:
        running, seed = self._active(), context.claimed_seed
        ballot, watch = running.ballot, running.watch
        members = running.assembly.members
        votes = ballot.votes  # one and the same for all fields, whatever is voted meanwhile
        return View(
            node_id=ballot.identity.node_id,
            slot=seed.slot.number,
            seed_id=seed.slot.seed_id,
            phase=self._status().phase,
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
            reached=reached(ballot.roster),
            authority=context.authority,
            clock=watch.clocks.source,
            facts=watch.facts(),
            is_copy=watch.twins.is_copy,
            you=watch.twins.known(asked_by) if asked_by is not None else None,
        )

    def _update(self, context: Context) -> None:
        views = {slot: view for slot, view in self._active().ballot.roster.views.items() if isinstance(view, View)}
        context.views = {**views, context.slot.number: self._view(context)}

    def _members(self, context: Context, running: _Running) -> dict[int, Member]:
        """Every slot's node, where it answers, or answered before this start, or was last known to."""
        remembered, members = self._journal.document.members, {}
        for slot, (node_id, slot_name) in self._holders(context, running).items():
            here: Context | Contact | None = running.ballot.roster.contacts.get(slot)
            if slot == context.slot.number:
                here = context
            known = remembered.get(slot)
            before = known if known is not None and known.node_id == node_id else None
            address = (here.address if here else None) or (before.address if before else None)
            storage = (here.storage_address if here else None) or (before.storage_address if before else None)
            if address is not None:
                name = names.host_name(slot_name, context.claimed_seed.site.name)
                members[slot] = Member(slot, slot_name, node_id, address, name, storage)
        return members

    def _holders(self, context: Context, running: _Running) -> dict[int, tuple[str, str]]:
        """Node id and name by slot: the members once there are some, before that who claimed."""
        members, planned = running.assembly.members, self._names(context)
        if members is None:
            return {slot: (node, planned[slot]) for slot, node in running.ballot.claims.items() if slot in planned}
        return {slot: (node, members.slots[slot].name) for node, slot in members.nodes.items()}

    @staticmethod
    def _names(context: Context) -> dict[int, str]:
        return {slot.number: slot.name for slot in context.plan.slots}


def _addresses(members: Mapping[int, Member]) -> set[str]:
    return {a for member in members.values() for a in (member.address, member.storage_address) if a is not None}


def _asked(names: Mapping[int, str], ballot: Ballot, members: Members | None) -> Mapping[int, str]:
    """The slots whose machines count, with their names: the members', before that all but those left out."""
    if members is None:
        return attempts.rest(names, ballot.votes.attempt)
    return {slot: members.slots[slot].name for slot in members.nodes.values()}


def _known(member: Member) -> KnownMember:
    return KnownMember(node_id=member.node_id, address=member.address, storage_address=member.storage_address)
