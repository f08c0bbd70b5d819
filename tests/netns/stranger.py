"""Run inside a namespaced machine that is no member: tries one thing at a node's admission port, prints what came."""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path

from firstboot.cluster import certificates
from firstboot.cluster.certificates import Issuer, create_authority, issue, issue_authority, new_key
from firstboot.cluster.events import Endpoint
from firstboot.cluster.server import AdmissionServer, Answer, Request
from firstboot.cluster.session import UnreachableError, open_session
from firstboot.cluster.tls import Credentials, client_context, server_context
from firstboot.cluster.trust import MemberRole, SlotRole, load_certificate, load_key, members_domain, slot_domain
from firstboot.cluster.views import View
from firstboot.nodekey import NodeKey
from firstboot.paths import ADMISSION_PORT
from firstboot.seed import Seed, decode


def seed_of(path: str) -> Seed:
    return decode(Path(path).read_bytes(), source=path)


def honest(seed: Seed, key: NodeKey) -> Credentials:
    """What any holder of the seed can show: a claim of its slot for a key of its own."""
    return key.credentials(seed, key.claim(seed))


def own_authority(seed: Seed, key: NodeKey) -> Credentials:
    """All names right, but under a root of the stranger's own making."""
    root = create_authority(f"{seed.site.name} site root", path_length=1)
    slot_key = new_key()
    below = slot_domain(seed.site.id, seed.slot.number, seed.slot.seed_id)
    slot = issue_authority(root, f"slot-{seed.slot.number}", slot_key.public_key(), below=below)
    role = SlotRole(seed.site.id, seed.slot.number, seed.slot.seed_id, key.node_id)
    claim = issue(Issuer(slot, slot_key), key.node_id, key.key.public_key(), [role.dns_name])
    return Credentials(certificates.pem(claim) + certificates.pem(slot), key.pem, root.certificate_pem)


def another_slot(seed: Seed, key: NodeKey) -> Credentials:
    """The seed's key vouches for a slot that is not its own."""
    role = SlotRole(seed.site.id, seed.slot.number + 1, seed.slot.seed_id, key.node_id)
    return forged(seed, key, role.dns_name)


def operator(seed: Seed, key: NodeKey) -> Credentials:
    """The seed's key vouches for an operator."""
    return forged(seed, key, f"operator.{seed.site.id}.trivet.internal")


def member(seed: Seed, key: NodeKey) -> Credentials:
    """The seed's key vouches for a member of the cluster."""
    return forged(seed, key, MemberRole(seed.site.id, key.node_id).dns_name)


def bare_slot(seed: Seed, _: NodeKey) -> Credentials:
    """The slot's own certificate and key, as if they were a node's."""
    return Credentials(seed.slot.certificate, seed.slot.key, seed.site.root_certificate)


def forged(seed: Seed, key: NodeKey, name: str) -> Credentials:
    slot_key = load_key(seed.slot.key)
    assert slot_key is not None
    slot = Issuer(load_certificate(seed.slot.certificate), slot_key)
    claim = issue(slot, key.node_id, key.key.public_key(), [name])
    return Credentials(certificates.pem(claim) + seed.slot.certificate, key.pem, seed.site.root_certificate)


KINDS = {kind.__name__: kind for kind in (honest, own_authority, another_slot, operator, member, bare_slot)}


def ask(kind: str, seed: Seed, address: str) -> dict[str, object]:
    """Status codes of each request, or the words in which none came."""
    context = client_context(KINDS[kind](seed, NodeKey(new_key())))
    context.verify_mode = ssl.CERT_NONE
    name = members_domain(seed.site.id) if kind == "member" else None
    said: dict[str, object] = {}
    for method, path in (("GET", "/v1/view"), ("POST", "/v1/claim"), ("POST", "/v1/enrol")):
        body = "{}" if method == "POST" else None
        try:
            where = Endpoint(address, ADMISSION_PORT)
            with open_session(where, context, site_id=seed.site.id, server_name=name) as session:
                reply = session.ask(method, path, body)
                said[path] = reply.code
                if b"PRIVATE KEY" in reply.raw:
                    said["secret"] = path
        except UnreachableError as error:
            said[path] = error.message
    return said


def pretend(seed: Seed, node_id: str) -> None:
    """Serve with the seed under the id of the node that really holds its slot, until killed."""
    key = NodeKey(new_key())

    def answer(request: Request) -> Answer:
        view = View(node_id=node_id, slot=seed.slot.number, seed_id=seed.slot.seed_id, phase="admit")
        return Answer(200, view.model_dump(mode="json"))

    server = AdmissionServer(
        server_context(honest(seed, key)), site_id=seed.site.id, port=ADMISSION_PORT, answer=answer
    )
    print("serving", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "pretend":
        pretend(seed_of(sys.argv[2]), sys.argv[3])
    else:
        json.dump(ask(sys.argv[1], seed_of(sys.argv[2]), sys.argv[3]), sys.stdout)
