"""Mutual TLS 1.3: the contexts for both ends, made of credentials, and whom the other end's certificate names."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field

from firstboot.cluster.trust import OperatorRole, Role, SlotRole, role_of
from firstboot.errors import BadInputError


@dataclass(frozen=True)
class Credentials:
    """What one end shows and whom it trusts, PEM: `chain` is its own certificate and those up to the trusted ones."""

    chain: str
    key: str = field(repr=False)
    trusted: str


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """Accepts only clients whose certificate leads to a trusted one."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, credentials)
    context.num_tickets = 0  # each connection proves itself: nothing is resumed
    return context


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """Trusts only servers whose certificate leads to a trusted one; whom it names, the caller looks at."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, credentials)


def peer_role(connection: ssl.SSLSocket, *, site_id: str) -> Role:
    """Whom the peer's verified certificate names; raises BadInputError when nobody of this site."""
    certificate = connection.getpeercert(binary_form=True)
    if certificate is None:
        raise BadInputError("the peer showed no certificate")
    role = role_of(certificate)
    if role.site_id != site_id:
        raise BadInputError(f"the peer's certificate is for site {role.site_id}")
    return role


def role_text(role: Role) -> str:
    """The role for logs."""
    if isinstance(role, OperatorRole):
        return "operator"
    node = f"node {role.node_id[:12]}"
    return f"slot {role.slot}, {node}" if isinstance(role, SlotRole) else node


def _context(protocol: int, credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # nodes are no hosts of a DNS: the role in the certificate is what counts
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=credentials.trusted)
    # The module reads keys from files only; this one exists in memory alone.
    handle = os.memfd_create("credentials", os.MFD_CLOEXEC)
    try:
        os.write(handle, f"{credentials.key.rstrip()}\n{credentials.chain}".encode())
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context
