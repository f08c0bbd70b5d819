"""The admission service: JSON over HTTP over mutual TLS, with every size, time and number bounded."""

from __future__ import annotations

import json
import logging
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import cast

from firstboot.cluster import tls
from firstboot.cluster.questions import MAX_BYTES
from firstboot.cluster.strangers import Strangers
from firstboot.cluster.trust import MemberRole, Role, members_domain
from firstboot.errors import BadInputError

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024
LARGER_BODIES = {"/v1/register": MAX_BYTES}
MAX_CONNECTIONS = 64
MAX_PER_ADDRESS = 16
HANDSHAKE_S = 15.0
REQUEST_S = 15.0
MAX_REQUESTS = 32


@dataclass(frozen=True)
class Request:
    """A request of somebody of this site."""

    role: Role
    method: str
    path: str
    body: object
    """The JSON body, decoded but not yet typed; None without one."""
    address: str = ""
    """Where it came from; IPv6 link-local with its %scope."""


@dataclass(frozen=True)
class Answer:
    """A status code and a JSON document."""

    code: int
    document: object


Answerer = Callable[[Request], Answer]


class AdmissionServer(socketserver.ThreadingTCPServer):
    """Listens on `host`, or every address, IPv4 and IPv6; `answer` gets only requests whose sender TLS has proved."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, context: ssl.SSLContext, *, site_id: str, port: int, answer: Answerer, host: str | None = None
    ) -> None:
        self.context = context
        self.members: ssl.SSLContext | None = None
        """Shown to who asks for the members' name, once this node is a member; accepts members alone."""
        context.sni_callback = self._choose
        self.site_id = site_id
        self.answer = answer
        self._guard = threading.Lock()
        self._strangers = Strangers(time.monotonic)
        self._open: Counter[str] = Counter()
        every = host is None and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if every else socket.AF_INET
        super().__init__(("::" if every else host or "0.0.0.0", port), Handler)  # noqa: S104

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        if name != members_domain(self.site_id):
            return None
        if self.members is None:
            return int(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
        connection.context = self.members
        return None

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def serve(self, *, poll_s: float = 1.0) -> None:
        """Serve in a thread of its own until `close`, which takes up to `poll_s`."""
        setting = {"poll_interval": poll_s}
        threading.Thread(target=self.serve_forever, kwargs=setting, name="admission", daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def verify_request(self, request: object, client_address: object) -> bool:
        host = _host(client_address)
        with self._guard:
            if self._open.total() >= MAX_CONNECTIONS or self._open[host] >= MAX_PER_ADDRESS:
                log.debug("too many connections, %s is turned away", host)
                return False
            self._open[host] += 1
            return True

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(cast("socket.socket", request), client_address)
        finally:
            with self._guard:
                host = _host(client_address)
                self._open[host] -= 1
                self._open += Counter()  # drops zero counts

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        log.debug("connection from %s failed", _host(client_address), exc_info=True)
        # A caller that was proved and went away is no stranger.
        if error is not None and not isinstance(error, ConnectionError):
            self._strangers.refuse(_host(client_address), error)


class Handler(BaseHTTPRequestHandler):
    """One connection. The TLS handshake runs here, in the connection's own thread."""

    server_version = "trivet"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_S

    def setup(self) -> None:
        self.admission = cast("AdmissionServer", self.server)
        raw = cast("socket.socket", self.request)
        raw.settimeout(HANDSHAKE_S)
        self.request = self.admission.context.wrap_socket(raw, server_side=True)
        self.role = tls.peer_role(self.request, site_id=self.admission.site_id)
        if isinstance(self.role, MemberRole) is (self.request.context is self.admission.context):
            raise BadInputError(f"{tls.role_text(self.role)} has a certificate of the wrong authority")
        self.served = 0
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def do_GET(self) -> None:  # noqa: N802
        self._serve(None)

    def do_POST(self) -> None:  # noqa: N802
        length, most = self.headers.get("Content-Length", ""), LARGER_BODIES.get(self.path, MAX_BODY_BYTES)
        if not length.isdecimal() or self.headers.get("Transfer-Encoding"):
            self._refuse(411, "a body with a Content-Length is needed")
        elif len(length) > 9 or int(length) > most:
            self._refuse(413, f"a body has at most {most} bytes")
        else:
            try:
                body: object = json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError):
                self._refuse(400, "the body is not JSON")
            else:
                self._serve(body)

    def _serve(self, body: object) -> None:
        self.served += 1
        try:
            request = Request(self.role, self.command, self.path, body, _host(self.client_address))
            answer = self.admission.answer(request)
        except BadInputError as error:
            answer = Answer(400, {"error": error.message})
        except Exception:
            log.exception("%s %s of %s failed", self.command, self.path, tls.role_text(self.role))
            answer = Answer(500, {"error": "internal error"})
        self._send(answer)

    def _refuse(self, code: int, error: str) -> None:
        self.close_connection = True  # the rest of the body is not read
        self._send(Answer(code, {"error": error}))

    def _send(self, answer: Answer) -> None:
        raw = json.dumps(answer.document, sort_keys=True).encode()
        self.send_response(answer.code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if self.served >= MAX_REQUESTS:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        log.debug("%s %s", tls.role_text(self.role), format % args)


def _host(address: object) -> str:
    if not isinstance(address, tuple) or not address:
        return "?"
    host = str(address[0]).removeprefix("::ffff:")
    scoped = len(address) == 4 and address[3] and "%" not in host
    return f"{host}%{address[3]}" if scoped else host
