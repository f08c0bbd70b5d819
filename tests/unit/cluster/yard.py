"""Nodes without their agents, over real mutual TLS on loopback."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from firstboot.cluster import authority as authorities
from firstboot.cluster.answers import Answers
from firstboot.cluster.assembly import Assembly
from firstboot.cluster.authority import Authority
from firstboot.cluster.claims import Ballot
from firstboot.cluster.client import Claimant, visit
from firstboot.cluster.events import Endpoint, Identity, Target
from firstboot.cluster.members import Members
from firstboot.cluster.presence import Patience
from firstboot.cluster.server import AdmissionServer, Answer
from firstboot.cluster.session import open_session
from firstboot.cluster.tls import Credentials, client_context, server_context
from firstboot.cluster.trust import MemberRole
from firstboot.cluster.views import View
from firstboot.nodekey import NodeKey
from firstboot.reporter import utc_now
from firstboot.seed import Seed
from firstboot.status import NodeStatus, PhaseState
from tests.unit.firstboot.sites import credentials

NAMES = {1: "node1", 2: "node2", 3: "node3"}
A, B = "a" * 32, "b" * 32


class Node:
    """One node without its agent, at a loopback address of its own."""

    def __init__(self, yard: Yard, seed: Seed, address: str) -> None:
        self.yard, self.seed, self.address = yard, seed, address
        folder = yard.folder / address
        folder.mkdir()
        self.key = NodeKey.load_or_make(folder / "node.key")
        self.claim = credentials(seed, self.key)
        self.member: Credentials | None = None
        self.occupied = ""
        identity = Identity(seed.slot.number, self.key.node_id, seed.slot.seed_id, NAMES, run="7" * 32)
        patience = Patience(release_after_s=0, grace_s=0)
        self.ballot = Ballot(
            folder / "claims.json", identity, site_id=seed.site.id, clock=lambda: yard.now_s, patience=patience
        )
        self.assembly = Assembly(
            self.ballot,
            site_id=seed.site.id,
            names=NAMES,
            credentials=lambda: (self.claim, self.member),
            clock=lambda: time.monotonic() + yard.now_s,
            port=yard.port,
            path=folder / "register.json",
            authority=lambda: "9" * 32 if self.member else None,
            vacated=lambda _: self.occupied,
        )
        status = NodeStatus(phase="admit", state=PhaseState.RUNNING, reason="test", since=utc_now())
        self.server = AdmissionServer(
            server_context(self.claim),
            site_id=seed.site.id,
            port=yard.port,
            host=address,
            answer=Answers(
                self.ballot,
                view=self.view,
                status=lambda: status,
                met=lambda *_: None,
                enrol=lambda _: Answer(409, {}),
                members=self.assembly.answer,
                removed=lambda node_id: bool(self.assembly.members) and node_id in self.members.removed,
                ssh_folder=folder,
            ),
        )
        self.server.serve(poll_s=0.02)

    @property
    def members(self) -> Members:
        assert self.assembly.members is not None
        return self.assembly.members

    def view(self, _: str | None = None) -> View:
        votes, members = self.ballot.votes, self.assembly.members
        return View(
            node_id=self.key.node_id,
            slot=self.seed.slot.number,
            seed_id=self.seed.slot.seed_id,
            phase="admit",
            claims=votes.claims,
            releases=votes.releases,
            attempt=votes.attempt,
            ready=votes.ready,
            founder=votes.founder,
            run="7" * 32,
            address=self.address,
            epoch=members.epoch if members else None,
            members=self.assembly.council.digest_of(members) if members else None,
            authority="9" * 32 if self.member else None,
        )

    def round(self) -> None:
        """Visit everybody who is on, and do what follows."""
        for other in self.yard.nodes:
            if other is not self:
                claimant = Claimant(self.seed.slot.number, self.key.node_id)
                endpoint = Endpoint(other.address, self.yard.port)
                made = visit(endpoint, client_context(self.claim), site_id=self.seed.site.id, claimant=claimant)
                self.ballot.visited(made, Target(other.seed.slot.number, endpoint))
        self.assembly.follow()

    def enrol(self, authority: Authority) -> None:
        """Give it a member's certificate."""
        site_id = self.seed.site.id
        names = [MemberRole(site_id, self.key.node_id).dns_name]
        issued = authorities.issue_member(authority, site_id, self.key.key.public_key(), names[1:], utc_now())
        chain = issued.public_bytes(authorities.Encoding.PEM).decode()
        self.member = Credentials(chain, self.key.pem, authority.trusted_pem)
        self.server.members = server_context(self.member)

    def post(self, to: Node, path: str, body: object, *, as_member: bool = False) -> tuple[int, dict[str, object]]:
        shown = self.member if as_member and self.member else self.claim
        name = f"members.{self.seed.site.id}.trivet.internal" if as_member else None
        endpoint = Endpoint(to.address, self.yard.port)
        with open_session(endpoint, client_context(shown), site_id=self.seed.site.id, server_name=name) as session:
            reply = session.ask("POST", path, json.dumps(body))
            return reply.code, json.loads(reply.raw)

    def close(self) -> None:
        self.server.close()
        self.assembly.close()


@dataclass
class Yard:
    """Starts nodes at 127.0.0.11 and after, all on one port; ends them with the test."""

    folder: Path
    port: int
    nodes: list[Node] = field(default_factory=list)
    now_s: float = 0.0
    started: int = 0

    def start(self, seed: Seed) -> Node:
        self.started += 1
        self.nodes.append(Node(self, seed, f"127.0.0.{10 + self.started}"))
        return self.nodes[-1]

    def power_off(self, node: Node) -> None:
        node.close()
        self.nodes.remove(node)

    def rounds(self, count: int) -> None:
        for _ in range(count):
            for node in list(self.nodes):
                node.round()

    def admit(self, new: Node, through: Node) -> None:
        """Rounds until the machine is a member; what that member began for it has ended after each."""
        for _ in range(20):
            if new.assembly.is_member:
                return
            through.assembly.council.make(None)
            self.rounds(1)
        assert new.assembly.is_member
