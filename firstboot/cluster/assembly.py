"""Ties the register to the network: members ask each other, later epochs are learned, later machines admitted."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from firstboot import paths
from firstboot.cluster import belief
from firstboot.cluster.admission import Admitted, Pending, Sponsor
from firstboot.cluster.belief import Showing
from firstboot.cluster.bids import Question, Reaction
from firstboot.cluster.changes import ClaimSlot, Refusal
from firstboot.cluster.claims import Ballot
from firstboot.cluster.council import Council, MembersDocument, digest
from firstboot.cluster.events import Endpoint
from firstboot.cluster.members import Members, first
from firstboot.cluster.questions import MAX_BYTES, question_document, reaction_document, read_question, read_reaction
from firstboot.cluster.roster import Contact
from firstboot.cluster.server import Answer, Request
from firstboot.cluster.session import Session, UnreachableError, open_session
from firstboot.cluster.tls import Credentials, client_context
from firstboot.cluster.trust import MemberRole, Role, SlotRole, members_domain
from firstboot.cluster.views import View
from firstboot.document import Source, parse_document
from firstboot.errors import BadInputError, TrivetError

log = logging.getLogger(__name__)


class Assembly:
    """One node's register among the others. `names` are the plan's slots; `credentials` what it shows, as a claimant
    and, once it has that, as a member."""

    def __init__(
        self,
        ballot: Ballot,
        *,
        site_id: str,
        names: Mapping[int, str],
        credentials: Callable[[], tuple[Credentials, Credentials | None]],
        clock: Callable[[], float],
        port: int = paths.ADMISSION_PORT,
        path: Path = paths.REGISTER,
        expected: bool = False,
        authority: Callable[[], str | None] = lambda: None,
        vacated: Callable[[int], str] = lambda _: "",
        changed: Callable[[Members], None] = lambda _: None,
    ) -> None:
        """Raises RefusedError when the register is `expected` and not there; see Council.

        `authority` is the fingerprint of the one that this node holds; `vacated` says why a slot is not free yet,
        although it is open; `changed` is told of a new epoch.
        """
        self._ballot = ballot
        self._site_id = site_id
        self._names = dict(names)
        self._credentials = credentials
        self._port = port
        self._authority = authority
        self._vacated = vacated
        self._told = changed
        self.refusal = ""
        """Why the members do not admit this machine; empty when it was not refused."""
        self.council = Council(
            path,
            ballot.identity.node_id,
            site_id=site_id,
            clock=clock,
            call=self._call,
            changed=self._changed,
            expected=expected,
        )

    @property
    def members(self) -> Members | None:
        """The latest epoch that this node knows."""
        return self.council.members

    @property
    def is_member(self) -> bool:
        """Whether that has this node."""
        return self.members is not None and self._ballot.identity.node_id in self.members.nodes

    @property
    def removal(self) -> str:
        """That this node was a member and is none any more; empty when it is not so."""
        members, node_id = self.members, self._ballot.identity.node_id
        if members is None or node_id not in members.removed:
            return ""
        return f"this node was removed from the cluster in epoch {members.removed[node_id].epoch}: turn it off"

    def answering(self) -> dict[int, View]:
        """What the other members that answer this node said last, by slot."""
        nodes, own_id = self.members.nodes if self.members is not None else {}, self._ballot.identity.node_id
        return {
            slot: contact.view
            for slot, contact in self._ballot.roster.contacts.items()
            if contact.reachable
            and isinstance(contact.view, View)
            and contact.view.node_id != own_id
            and nodes.get(contact.view.node_id) == slot
        }

    def follow(self) -> None:
        """After each round of visits: begin with the decision, learn later epochs, ask to be admitted."""
        self.follow_decision()
        self._learn()
        if self.members is not None and not self.is_member:
            self._seek()

    def follow_decision(self) -> None:
        """Once it is decided that this node is a member, its first epoch is on disk when this returns."""
        votes, me = self._ballot.votes, self._ballot.identity
        if votes.founder is None or votes.ready is None or not votes.ready.proposal.has(me.slot, me.node_id):
            return
        self.council.learn(first(votes.ready.proposal, self._names))

    def close(self) -> None:
        self.council.close()

    # What others ask

    def answer(self, request: Request) -> Answer | None:
        """The answer to a request about the register; None when it is about something else."""
        role = request.role
        match request.method, request.path:
            case "GET", "/v1/members":
                if self.members is None:
                    return Answer(404, {"error": "this node is in no cluster yet"})
                return Answer(200, MembersDocument(members=self.members).model_dump(mode="json"))
            case "POST", "/v1/register" if isinstance(role, SlotRole | MemberRole):
                return self._question(role, request.body)
            case "POST", "/v1/admit" if isinstance(role, SlotRole):
                return self._admission(role)
            case "POST", "/v1/register" | "/v1/admit":
                return Answer(403, {"error": "only a node can do that"})
        return None

    def _question(self, role: SlotRole | MemberRole, body: object) -> Answer:
        if not self._may_ask(role):
            log.warning("node %s asks as a member, but is none", role.node_id)
            return Answer(403, {"error": "that node is no member of this cluster"})
        reaction = self.council.answer(role.node_id, read_question(body))
        return Answer(200, reaction_document(reaction).model_dump(mode="json", exclude_none=True))

    def _may_ask(self, role: SlotRole | MemberRole) -> bool:
        """Whom cluster authority or this node's own document vouches for; without one the register says why not."""
        members = self.members
        if members is None or role.node_id in members.nodes:
            return True
        vouched = isinstance(role, MemberRole) and not members.in_transition
        return self.is_member and vouched and role.node_id not in members.removed

    def _admission(self, role: SlotRole) -> Answer:
        claim = ClaimSlot(role.slot, role.seed_id, role.node_id)
        members = self.members
        if members is not None and isinstance(claim.apply(members), Members) and role.node_id not in members.nodes:
            why = self._vacated(role.slot)
            if why:
                return Answer(202, {"why": why})
        contacts = self._ballot.roster.contacts.items()
        match self.council.admit(claim, [slot for slot, contact in contacts if contact.reachable]):
            case Admitted() if self.members is not None:
                return Answer(200, MembersDocument(members=self.members).model_dump(mode="json"))
            case Sponsor():
                why = self.council.trouble or "more than half of the members have to agree"
                return Answer(202, {"why": f"this member sees to it: {why}"})
            case Pending() as pending:
                return Answer(202, {"why": f"slot {pending.slot} ({pending.name}) sees to it"})
            case Refusal() as refusal:
                return Answer(409, {"error": refusal.reason, "why": refusal.why.value, "hint": refusal.hint})
        return Answer(409, {"error": "this node is in no cluster yet", "why": "no-cluster", "hint": ""})

    # What this node asks

    def _call(self, node_id: str, question: Question) -> Reaction:
        contact = next((c for c in self._ballot.roster.contacts.values() if c.view.node_id == node_id), None)
        if contact is None:
            raise UnreachableError("not seen since this node started")
        body = question_document(question).model_dump_json(exclude_none=True)
        raw = self._request(contact, "POST", "/v1/register", body, ok=(200,))[1]
        return read_reaction(raw)

    def _learn(self) -> None:
        known = self.members.epoch if self.members is not None else 0
        later = [c for c in self._ballot.roster.contacts.values() if (_epoch(c) or 0) > known and c.reachable]
        believed = [c for c in later if self._believes(c) or self._consented(c)]
        for contact in sorted(believed, key=lambda c: -(_epoch(c) or 0)):
            try:
                shown = _read_members(self._request(contact, "GET", "/v1/members", None, ok=(200,))[1])
            except TrivetError as error:
                log.debug("the members' document can't be learned: %s", error.message)
                continue
            if self._believes(contact) or shown == self.council.consented:
                self.council.learn(shown)
                return
        if not self.is_member:
            self._believe(known)

    def _believe(self, known: int) -> None:
        """Learn what most nodes show: of one that it does not know as a member, this one has no better reason."""
        roster, own_id = self._ballot.roster, self._ballot.identity.node_id
        met = [contact for contact in roster.contacts.values() if contact.reachable]
        met += [Contact(rival.view, (rival.address,)) for node, rival in roster.rivals.items() if node != own_id]
        shown = {showing: contact for contact in met if (showing := _showing(contact)) is not None}
        for showing in belief.candidate(shown):
            if showing.epoch <= known:
                return
            try:
                members = _read_members(self._request(shown[showing], "GET", "/v1/members", None, ok=(200,))[1])
            except TrivetError as error:
                log.debug("the members' document can't be learned: %s", error.message)
                continue
            if digest(members) == showing.digest:
                self.council.learn(members)
                return

    def _seek(self) -> None:
        """Ask the members for this machine's slot until one sees to it; else the latest epoch's refusal counts."""
        nodes = self.members.nodes if self.members is not None else {}
        found = sorted(self._ballot.roster.contacts.items(), key=lambda one: (-(_epoch(one[1]) or 0), one[0]))
        refused: bytes | None = None
        for contact in [c for _, c in found if c.view.node_id in nodes and c.reachable]:
            try:
                code, raw = self._request(contact, "POST", "/v1/admit", "{}", ok=(200, 202, 409))
                if code != 409:
                    self._hear(code, raw)
                    return
                refused = refused or raw
            except TrivetError as error:
                log.debug("no admission: %s", error.message)
        if refused is not None:
            self._hear(409, refused)

    def _hear(self, code: int, raw: bytes) -> None:
        if code == 200:
            self.refusal = ""
            self.council.learn(_read_members(raw))
            return
        told = _texts(raw)
        self.refusal = told.get("error") or told.get("why") or "it was not said why"

    def _believes(self, contact: Contact) -> bool:
        """One alone is believed whom this node's own document has, or the cluster authority vouches for."""
        members, node_id = self.members, contact.view.node_id
        if members is None:
            return False
        # A removed node can vouch for whomever it likes until its authority is replaced.
        vouched = self.is_member and self._as_member(contact) is not None and not members.in_transition
        return node_id in members.nodes or (node_id not in members.removed and vouched)

    def _consented(self, contact: Contact) -> bool:
        """Whether a node shows the very document to which this one gave its consent, and is a member by it.

        Who alone is left of the members before can't learn in another way that it was settled.
        """
        document, showing = self.council.consented, _showing(contact)
        return (
            document is not None
            and showing is not None
            and showing.node_id in document.nodes
            and (showing.epoch, showing.digest) == (document.epoch, digest(document))
        )

    def _as_member(self, contact: Contact) -> Credentials | None:
        """What to show to that node as a member to a member; None when the two don't trust each other as that yet."""
        theirs = contact.view.authority if isinstance(contact.view, View) else None
        return self._credentials()[1] if theirs is not None and theirs == self._authority() else None

    def _request(
        self, contact: Contact, method: str, path: str, body: str | None, *, ok: tuple[int, ...]
    ) -> tuple[int, bytes]:
        """Ask a node that answered before, as members if both are, else by the site's certificates.

        Raises UnreachableError, also when another node answers there.
        """
        if contact.address is None:
            raise UnreachableError("it does not answer at its address")
        endpoint, member = Endpoint(contact.address, self._port), self._as_member(contact)
        context = client_context(member or self._credentials()[0])
        name = members_domain(self._site_id) if member is not None else None
        with open_session(endpoint, context, site_id=self._site_id, server_name=name) as session:
            return _ask(session, contact.view.node_id, method, path, body, ok)

    def _changed(self, members: Members) -> None:
        log.info("the cluster's members are those of epoch %d now", members.epoch)
        self._ballot.know_members(members)
        self._told(members)


def _ask(
    session: Session, node_id: str, method: str, path: str, body: str | None, ok: tuple[int, ...]
) -> tuple[int, bytes]:
    role: Role = session.role
    if not isinstance(role, SlotRole | MemberRole) or role.node_id != node_id:
        raise BadInputError("another machine answers there")
    reply = session.ask(method, path, body)
    if reply.code not in ok:
        raise BadInputError(f"it refused with {reply.code}: {_texts(reply.raw).get('error', '')}")
    return reply.code, reply.raw


def _read_members(raw: bytes) -> Members:
    return parse_document(raw, MembersDocument, Source("its members", max_bytes=MAX_BYTES)).members


def _texts(raw: bytes) -> dict[str, str]:
    """The short texts of an answer that may be anything."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    fields = document if isinstance(document, dict) else {}
    return {key: value[:200] for key, value in fields.items() if isinstance(value, str)}


def _showing(contact: Contact) -> Showing | None:
    view = contact.view
    if not isinstance(view, View) or view.epoch is None or view.members is None:
        return None
    return Showing(view.node_id, view.slot, view.epoch, view.members)


def _epoch(contact: Contact) -> int | None:
    return contact.view.epoch if isinstance(contact.view, View) else None
