"""Mutual TLS 1.3 under the site root: the contexts for both sides, made of the seed."""

from __future__ import annotations

import os
import ssl

from firstboot.cluster.trust import OperatorRole, Role, role_of
from firstboot.errors import BadInputError
from firstboot.seed import Seed


def server_context(seed: Seed) -> ssl.SSLContext:
    """Accepts only clients with a certificate of the seed's site."""
    return _context(ssl.PROTOCOL_TLS_SERVER, seed)


def client_context(seed: Seed) -> ssl.SSLContext:
    """Trusts only servers with a certificate of the seed's site; which slot it is, the caller looks at."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, seed)


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
    return "operator" if isinstance(role, OperatorRole) else f"slot {role.slot}"


def _context(protocol: int, seed: Seed) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # nodes have no names yet: the slot in the certificate is what counts
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=seed.site.root_certificate)
    # The module reads keys from files only; this one exists in memory alone.
    handle = os.memfd_create("slot", os.MFD_CLOEXEC)
    try:
        os.write(handle, f"{seed.slot.key.rstrip()}\n{seed.slot.certificate}".encode())
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context
