"""What a machine with a certificate is told when it connects: by TLS, glusterd's or a brick's, and by an agent."""

from __future__ import annotations

import sys

from firstboot.cluster.trust import members_domain
from firstboot.paths import ADMISSION_PORT, SEED
from firstboot.seed import decode
from tests.netns.authority import Material
from tests.netns.namespaces import Node

FOLDER = "/srv/asking"
SHORT_S, LONG_S = 2.0, 60.0
"""How long the other side has to object: no objection is told by silence."""
SHAKE = """
import socket, ssl, sys
from cryptography import x509
folder, address, port, name, patience_s = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain(folder + "/certificate", folder + "/key")
try:
    with socket.create_connection((address, int(port)), timeout=20) as raw:
        with context.wrap_socket(raw, server_hostname=name) as tls:
            serial = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)).serial_number
            tls.settimeout(float(patience_s))
            if name != "gluster":
                tls.sendall(b"GET /v1/members HTTP/1.1\\r\\nHost: node\\r\\n\\r\\n")
            try:
                said = tls.recv(64)
            except TimeoutError:
                said = b"" if name != "gluster" else b"silence"
            print(f"accepted {serial:x}" if said == b"silence" or b" 200 " in said else f"ended {said!r}")
except OSError as error:
    print(f"refused {error}")
"""
ENROL = """
import sys
from firstboot.cluster.events import Endpoint
from firstboot.cluster.session import open_session
from firstboot.cluster.tls import client_context
from firstboot.cluster.trust import load_certificate
from firstboot.nodekey import NodeKey
from firstboot.paths import ADMISSION_PORT, CLAIM, NODE_KEY, SEED
from firstboot.seed import decode
seed = decode(SEED.read_bytes(), source=SEED)
credentials = NodeKey.load(NODE_KEY).credentials(seed, load_certificate(CLAIM.read_bytes()))
there, context = Endpoint(sys.argv[1], ADMISSION_PORT), client_context(credentials)
with open_session(there, context, site_id=seed.site.id) as session:
    print(session.ask("POST", "/v1/enrol", "{}").code)
"""


def is_accepted(node: Node, material: Material, address: str, port: int) -> bool:
    """Whether the other side goes on with who shows this certificate from this node's own address."""
    return _shake(node, material, address, port, SHORT_S).startswith("accepted")


def is_refused(node: Node, material: Material, address: str, port: int) -> bool:
    """Whether it objects to that; with TLS 1.3 it does so after the handshake."""
    return _shake(node, material, address, port, LONG_S).startswith(("refused", "ended"))


def serial(node: Node, material: Material, address: str, port: int) -> str:
    """The serial number, in hex, of the certificate that is shown there."""
    return _shake(node, material, address, port, SHORT_S).removeprefix("accepted ")


def enrol(node: Node, address: str) -> str:
    """The status with which an agent answers the wish for the cluster authority, by the node's claim certificate."""
    return node.run(sys.executable, "-c", ENROL, address).stdout


def _shake(node: Node, material: Material, address: str, port: int, patience_s: float) -> str:
    node.write(f"{FOLDER}/certificate", material.certificate.encode())
    node.write(f"{FOLDER}/key", material.key.encode())
    site = decode((node.read(SEED) or "").encode(), source=SEED).site.id
    name = members_domain(site) if port == ADMISSION_PORT else "gluster"
    return node.run(sys.executable, "-c", SHAKE, FOLDER, address, str(port), name, str(patience_s)).stdout.strip()
