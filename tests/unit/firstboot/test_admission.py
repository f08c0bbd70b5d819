"""The admission service over real mutual TLS on loopback: who gets in, who may claim, what is refused."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.site.root import SiteRoot, create_root
from firstboot.cluster.answers import Answers
from firstboot.cluster.claims import Ballot
from firstboot.cluster.client import Claimant, read_view, visit
from firstboot.cluster.events import Endpoint, Identity, Visit
from firstboot.cluster.server import MAX_BODY_BYTES, MAX_PER_ADDRESS, AdmissionServer, Answer
from firstboot.cluster.session import UnreachableError
from firstboot.cluster.tls import client_context, server_context
from firstboot.cluster.views import View
from firstboot.errors import BadInputError
from firstboot.nodekey import NodeKey
from firstboot.reporter import utc_now
from firstboot.seed import Seed
from firstboot.status import NodeStatus, PhaseState
from tests.unit.firstboot.sites import credentials, issue, site

ROOT, SEEDS = site()
LIMIT_S = 30.0


def votes(folder: Path, key: NodeKey) -> Ballot:
    identity = Identity(1, key.node_id, "5" * 32, {1: "node1", 2: "node2", 3: "node3"}, run="7" * 32)
    return Ballot(folder / "claims.json", identity, site_id=ROOT.site_id, clock=lambda: 0.0)


class Served:
    """Slot 1's service on loopback, with its votes in a folder."""

    def __init__(self, folder: Path) -> None:
        self.key = NodeKey.load_or_make(folder / "node1.key")
        self.ballot = votes(folder, self.key)
        (folder / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA root@node1\n")
        (folder / "ssh_host_ed25519_key").write_text("secret\n")
        self.met: set[tuple[int, str]] = set()
        status = NodeStatus(phase="admit", state=PhaseState.WAITING, reason="test", since=utc_now())
        self.server = AdmissionServer(
            server_context(credentials(SEEDS[0], self.key)),
            site_id=ROOT.site_id,
            port=0,
            host="127.0.0.1",
            answer=Answers(
                self.ballot,
                view=self.view,
                status=lambda: status,
                met=lambda slot, address: self.met.add((slot, address)),
                enrol=lambda role: Answer(200, {"for": role.node_id}),
                ssh_folder=folder,
            ),
        )
        self.server.serve(poll_s=0.02)
        self.endpoint = Endpoint("127.0.0.1", self.server.port)

    def view(self, asked_by: str | None = None) -> View:
        return View(
            node_id=self.key.node_id,
            slot=1,
            seed_id=SEEDS[0].slot.seed_id,
            phase="admit",
            claims=self.ballot.claims,
        )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.server.close()


def operator_context(root: SiteRoot, folder: Path) -> ssl.SSLContext:
    credentials = root.issue_operator()
    path = folder / "operator.pem"
    path.write_text(credentials.key + credentials.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=root.certificate_pem)
    context.load_cert_chain(path)
    return context


@contextmanager
def session(served: Served, context: ssl.SSLContext) -> Iterator[http.client.HTTPConnection]:
    with (
        socket.create_connection(("127.0.0.1", served.server.port), timeout=LIMIT_S) as raw,
        context.wrap_socket(raw) as tls,
    ):
        connection = http.client.HTTPConnection("node")
        connection.sock = tls
        yield connection


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | bytes | None = None
) -> tuple[int, object]:
    connection.request(method, path, body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def visiting(served: Served, seed: Seed, key: NodeKey) -> Visit:
    """A visit by the node of that key with that seed."""
    context = client_context(credentials(seed, key))
    claimant = Claimant(seed.slot.number, key.node_id)
    return visit(served.endpoint, context, site_id=seed.site.id, claimant=claimant)


def test_a_member_claims_and_sees_its_claim(served: Served, tmp_path: Path) -> None:
    key = NodeKey.load_or_make(tmp_path / "node2.key")
    made = visiting(served, SEEDS[1], key)
    assert (made.slot, made.incumbent) == (1, None)
    assert made.view.claims == {1: served.key.node_id, 2: key.node_id}
    assert served.met == {(2, "127.0.0.1")}
    assert votes(tmp_path, served.key).claims[2] == key.node_id


def test_the_second_claimant_is_told_the_incumbent(served: Served, tmp_path: Path) -> None:
    first, second = NodeKey.load_or_make(tmp_path / "a.key"), NodeKey.load_or_make(tmp_path / "b.key")
    visiting(served, SEEDS[1], first)
    made = visiting(served, SEEDS[1], second)
    assert made.incumbent == first.node_id
    assert made.refusal.startswith("that node was heard of")
    assert served.ballot.claims[2] == first.node_id


def test_a_copy_of_this_very_slot_does_not_claim(served: Served, tmp_path: Path) -> None:
    key = NodeKey.load_or_make(tmp_path / "copy.key")
    made = visiting(served, SEEDS[0], key)
    assert made.slot == 1
    assert served.ballot.claims == {1: served.key.node_id}


def stranger_without_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def stranger_of_another_site() -> ssl.SSLContext:
    context = client_context(credentials(issue(create_root("demo"), 2)))
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize("stranger", [stranger_without_certificate, stranger_of_another_site])
@pytest.mark.parametrize("path", ["/v1/view", "/v1/status", "/v1/ssh-host-keys"])
def test_strangers_learn_nothing(served: Served, stranger: object, path: str) -> None:
    assert callable(stranger)
    with (
        pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)),
        session(served, stranger()) as connection,
    ):
        ask(connection, "GET", path)


def test_our_own_client_refuses_another_site(served: Served, tmp_path: Path) -> None:
    other = issue(create_root("demo"), 2)
    key = NodeKey.load_or_make(tmp_path / "other.key")
    with pytest.raises(UnreachableError, match="no certificate of this site"):
        visiting(served, other, key)


def test_tls_1_2_is_refused(served: Served) -> None:
    context = client_context(credentials(SEEDS[1]))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)), session(served, context) as connection:
        ask(connection, "GET", "/v1/view")


def test_the_operator_reads_but_does_not_claim(served: Served, tmp_path: Path) -> None:
    with session(served, operator_context(ROOT, tmp_path)) as connection:
        code, keys = ask(connection, "GET", "/v1/ssh-host-keys")
        assert (code, keys) == (200, {"keys": ["ssh-ed25519 AAAA root@node1"]})
        code, status = ask(connection, "GET", "/v1/status")
        assert code == 200
        assert NodeStatus.model_validate(status).phase == "admit"
        code, _ = ask(connection, "POST", "/v1/claim", "{}")
        assert code == 403
    assert served.ballot.claims == {1: served.key.node_id}
    assert served.met == set()


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 9000])
def test_garbage_is_refused(served: Served, body: str | bytes) -> None:
    with session(served, client_context(credentials(SEEDS[1]))) as connection:
        code, _ = ask(connection, "POST", "/v1/claim", body)
    assert code == 400
    assert served.ballot.claims == {1: served.key.node_id}


def test_an_oversized_body_is_not_read(served: Served) -> None:
    with session(served, client_context(credentials(SEEDS[1]))) as connection:
        connection.putrequest("POST", "/v1/claim")
        connection.putheader("Content-Length", str(MAX_BODY_BYTES + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413


@pytest.mark.parametrize("length", ["", "-1", "1e9", "9" * 40])
def test_odd_lengths_are_refused(served: Served, length: str) -> None:
    with session(served, client_context(credentials(SEEDS[1]))) as connection:
        connection.putrequest("POST", "/v1/claim")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status in (411, 413)


def test_unknown_paths_and_methods(served: Served) -> None:
    with session(served, client_context(credentials(SEEDS[1]))) as connection:
        assert ask(connection, "GET", "/v1/secrets")[0] == 404
        assert ask(connection, "GET", "/../etc/shadow")[0] == 404
        connection.request("DELETE", "/v1/view")
        assert connection.getresponse().status == 501


def test_rubbish_before_tls_does_not_stop_the_service(served: Served, tmp_path: Path) -> None:
    for rubbish in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(4096), b""):
        with socket.create_connection(("127.0.0.1", served.server.port), timeout=LIMIT_S) as raw:
            raw.sendall(rubbish)
    key = NodeKey.load_or_make(tmp_path / "node2.key")
    made = visiting(served, SEEDS[1], key)
    assert made.view.node_id == served.key.node_id


def test_idle_connections_of_one_address_are_bounded(served: Served) -> None:
    idle = [
        socket.create_connection(("127.0.0.1", served.server.port), timeout=LIMIT_S) for _ in range(MAX_PER_ADDRESS)
    ]
    try:
        with socket.create_connection(("127.0.0.1", served.server.port), timeout=LIMIT_S) as extra:
            assert extra.recv(1) == b""  # turned away at once, while the others wait for their handshake
    finally:
        for raw in idle:
            raw.close()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "damaged"),
        (b"[]", "not of format trivet-view"),
        (b'{"format": "trivet-view", "version": "1.1"}', "format version 1.1"),
        (b'{"format": "trivet-view", "version": "2.0", "node_id": "x"}', "is damaged: node_id"),
    ],
)
def test_views_are_typed_at_the_door(raw: bytes, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        read_view(raw)


def test_a_view_from_before_it_said_when_it_looked_is_read(served: Served) -> None:
    document = {**served.view().model_dump(mode="json"), "version": "2.4", "healing": []}
    del document["looked"]
    assert read_view(json.dumps(document).encode()).looked is None, "nobody has looked"


def test_a_view_of_a_newer_minor_is_read(served: Served) -> None:
    document = {**served.view().model_dump(mode="json"), "version": "2.7", "news": True}
    assert read_view(json.dumps(document).encode()).node_id == served.key.node_id
