"""The phases discover, admit, found and enrol: the parts of formation tied together for one run of the agent."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from firstboot import paths
from firstboot.cluster import enrolment, memberlist, names, removal, succession
from firstboot.cluster.answers import Answers
from firstboot.cluster.assembly import Assembly
from firstboot.cluster.claims import Ballot
from firstboot.cluster.client import Claimant
from firstboot.cluster.council import Council
from firstboot.cluster.enrolment import Renewal
from firstboot.cluster.events import Found, Identity, Outside, WaitFor
from firstboot.cluster.exchange import HURRIED_S, Exchange
from firstboot.cluster.founder import short
from firstboot.cluster.members import Members
from firstboot.cluster.roster import Contact
from firstboot.cluster.running import Running, pace, view_of
from firstboot.cluster.search import Search
from firstboot.cluster.server import AdmissionServer
from firstboot.cluster.tls import client_context, server_context
from firstboot.cluster.views import View
from firstboot.cluster.watch import Watch
from firstboot.context import Context, Member
from firstboot.errors import RefusedError, TrivetError
from firstboot.network import connections
from firstboot.network.facts import read_links
from firstboot.network.packetfilter import THE_FILTER
from firstboot.phases import Done, Outcome, Wait
from firstboot.state import Journal
from firstboot.status import NodeStatus, PeerStatus

log = logging.getLogger(__name__)


class Membership:
    """Formation of one agent. Its steps are phases; `close` ends its threads and sockets."""

    def __init__(
        self,
        journal: Journal,
        *,
        status: Callable[[], NodeStatus],
        clock: Callable[[], float],
        wake: Callable[[], None] = lambda: None,
        claims_path: Path = paths.CLAIMS,
        register_path: Path = paths.REGISTER,
        port: int = paths.ADMISSION_PORT,
    ) -> None:
        self._journal = journal
        self._status = status
        self._clock = clock
        self._wake = wake
        self._claims_path = claims_path
        self._register_path = register_path
        self._port = port
        self._search: Search | None = None
        self._running: Running | None = None
        self._following = threading.Lock()
        self._enrolling = threading.Lock()
        self._trouble = ""
        """Why the members do not come from one cluster authority to the next, as far as this node knows."""

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
        out = removal.leave(running.assembly.removal) or running.watch.keep_out()
        if out is not None:
            return out
        missing = running.ballot.obstacle() if not running.assembly.is_member else None
        if missing is not None:
            refusal = running.assembly.refusal
            said = f". Looked for by {self._searching.said()}" if "not appeared" in missing.reason else ""
            hint = memberlist.later_hint(context) or missing.hint
            return Wait(missing.reason + (f"; {refusal}" if refusal else "") + said, hint)
        trouble = running.watch.admit(context)
        if trouble is not None:
            return trouble
        self._keep_members(context, running)
        return Done(", ".join(f"{m.name} at {m.address}" for m in context.members.values()))

    def _keep_members(self, context: Context, running: Running) -> None:
        """Keep the members' names, and what is remembered of them, to where they answered last."""
        with self._following:
            before = memberlist.addresses(self._journal.document.members.values())
            context.document, context.members = running.assembly.members, self._members(context, running)
            now = memberlist.addresses(context.members.values())
            names.keep(context.members.values())
            if before != now:
                THE_FILTER.follow(member.data_address for member in context.members.values())
            connections.drop(before - now)
            self._journal.know_members({slot: memberlist.known(member) for slot, member in context.members.items()})

    def _follow(self, context: Context) -> None:
        """After each round of visits: follow addresses that changed, this node's own too.

        Not left to the phases: their checks talk to Gluster, which waits for whoever is not where it was.
        """
        running = self._running
        if running is None:
            return
        running.assembly.follow()
        if pace(running, context):
            self._wake()  # what follows from it is not to wait for the next look
        self._searching.follow()
        if "admit" not in context.finished or running.assembly.removal:
            return
        self._keep_members(context, running)
        if "enrol" in context.finished:
            self._succeed(context, running)

    def _succeed(self, context: Context, running: Running) -> None:
        """Go on from one cluster authority to the next, where one was removed; show what came of it."""
        members = running.assembly.members
        with self._enrolling:
            if members is not None:
                answering = running.assembly.answering()
                self._trouble = succession.follow(context, running.assembly.council, members, answering)
            self._show(running)

    @staticmethod
    def _show(running: Running) -> None:
        credentials = enrolment.member_credentials()
        if credentials is not None and credentials != running.member:
            running.server.members, running.member = server_context(credentials), credentials

    def found(self, context: Context) -> Outcome:
        """Decide who founds, once and for good."""
        running = self._active()
        self._update(context)
        decision = running.ballot.standing()
        running.assembly.follow_decision()
        members = running.assembly.members
        if members is not None and running.assembly.is_member:
            formed = "domains" in context.finished
            present = {context.slot.number, *self.answering} if formed else members.nodes.values()
            context.founder_slot = members.senior_of(present)
        pace(running, context)
        if isinstance(decision, Outside) and context.founder_slot is not None:
            return Done("this node joined the cluster")
        if isinstance(decision, WaitFor):
            return Wait(decision.reason, decision.hint, retry_s=HURRIED_S if running.ballot.hurried else None)
        self._journal.decide_founder(decision.slot)
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
        with self._enrolling:
            outcome = enrolment.step(context, before="enrol" in self._journal.document.phases)
        self._succeed(context, running)
        return outcome

    def renew(self, context: Context) -> Renewal:
        """Issue this node another certificate now; Gluster takes it up with its next connection."""
        if "enrol" not in context.finished:
            raise RefusedError("this node has no certificate yet that could be renewed", hint="trivet-node status")
        with self._enrolling:
            renewal = enrolment.renew(context)
            self._show(self._active())
        return renewal

    def removed(self, context: Context) -> Done | None:
        """What every phase from enrol on comes to on a node that was removed: nothing."""
        return Done(self._active().assembly.removal) if self.is_removed else None

    @property
    def is_removed(self) -> bool:
        """Whether this node was a member of its cluster and is none any more."""
        return self._running is not None and bool(self._running.assembly.removal)

    @property
    def council(self) -> Council | None:
        """This node's part in the members' document, once it has begun to look for the others."""
        return self._running.assembly.council if self._running is not None else None

    @property
    def answering(self) -> frozenset[int]:
        """The slots whose members answer this node."""
        return frozenset(self._running.assembly.answering()) if self._running is not None else frozenset()

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
        running, slots = self._running, self._names(context)
        contacts = running.ballot.roster.contacts if running is not None else {}
        held: Mapping[int, str] = running.ballot.claims if running is not None else {}
        members = running.assembly.members if running is not None else None
        if members is not None:
            held = {slot: node for node, slot in members.nodes.items()}
            slots = {slot: members.slots[slot].name for slot in held}
        return tuple(
            self._peer(slot, name, held.get(slot), contacts.get(slot))
            for slot, name in sorted(slots.items())
            if slot != context.slot.number
        )

    def _peer(self, slot: int, name: str, node_id: str | None, contact: Contact | None) -> PeerStatus:
        address = contact.address if contact else None
        found_by = self._searching.found_by(slot, address) if address else ()
        return memberlist.peer(slot, name, node_id, contact, found_by)

    def problems(self, context: Context) -> list[str]:
        """Machines that answer for a slot which another node holds, and what else is wrong between the members."""
        if self._running is None:
            return []
        rivals = self._running.ballot.roster.rivals
        members, own_id = self._running.assembly.members, self._running.ballot.identity.node_id
        second = [
            removal.returned(members, node, rival)
            or f"a second machine has the seed of slot {rival.slot}: node {short(node)} at {rival.address}"
            for node, rival in sorted(rivals.items())
            if node != own_id
        ]
        under_way = removal.under_way(members, self._running.assembly.answering(), own_id, self._trouble)
        return second + self._running.watch.problems(context) + under_way

    def close(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.exchange.close()
            running.assembly.close()
            running.server.close()
        if self._search is not None:
            self._search.close()

    def _active(self) -> Running:
        assert self._running is not None, "a phase before discover asked for the members"
        return self._running

    @property
    def _searching(self) -> Search:
        assert self._search is not None, "a phase before network asked for the members"
        return self._search

    def _open(self, context: Context) -> Running:
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
            cluster_exists=context.slot.later or "pool" in self._journal.document.phases,
        )
        watch = Watch(
            identity,
            context,
            self._journal,
            read_links(),
            asked=lambda: memberlist.asked(slots, ballot, assembly.members),
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
            authority=lambda: context.authority,
            vacated=lambda slot: removal.vacated(context, assembly.members, slot),
            changed=lambda members: self._learnt(members, slots),
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
            claimed=exchange.claimed,
            enrol=lambda role: enrolment.answer(
                assembly.members, role, watch.clocks.refusal(context.views, role.slot)
            ),
            members=assembly.answer,
            removed=lambda node_id: assembly.members is not None and node_id in assembly.members.removed,
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
        running = Running(ballot, server, exchange, watch, assembly)
        self._running = running
        server.serve()
        exchange.start()
        self._searching.begin(exchange)
        return running

    def _learnt(self, members: Members, names: dict[int, str]) -> None:
        """There is a new epoch: have everybody know it, and do what follows; a plan may be older than its slots."""
        names.update({slot: record.name for slot, record in members.slots.items()})
        if self._running is not None:
            vacant = [slot for slot, record in members.slots.items() if record.node_id is None]
            self._searching.know(members.slots)
            self._running.exchange.forget(vacant)
            self._running.exchange.go()
        self._wake()

    def _remembered(self, own_slot: int) -> tuple[str, ...]:
        return tuple(m.address for slot, m in self._journal.document.members.items() if slot != own_slot)

    def _view(self, context: Context, asked_by: str | None = None) -> View:
        return view_of(self._active(), context, self._status().phase, asked_by)

    def _update(self, context: Context) -> None:
        views = {slot: view for slot, view in self._active().ballot.roster.views.items() if isinstance(view, View)}
        context.views = {**views, context.slot.number: self._view(context)}

    def _members(self, context: Context, running: Running) -> dict[int, Member]:
        """Every slot's node, where it answers, or answered before this start, or was last known to."""
        planned = self._names(context)
        held = memberlist.holders(running.assembly.members, running.ballot.claims, planned)
        return memberlist.locate(context, held, running.ballot.roster.contacts, self._journal.document.members)

    @staticmethod
    def _names(context: Context) -> dict[int, str]:
        return memberlist.founding_names(context.plan, context.slot.number)
