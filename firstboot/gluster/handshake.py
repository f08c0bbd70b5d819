"""Why a glusterd can't be talked to: one TLS handshake with it, as another glusterd would do, and nothing else."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from cryptography import x509

from firstboot import paths
from firstboot.gluster.credentials import common_name

LIMIT_S = 10.0
OBJECTION_S = 1.0
"""How long the other side has to object to this node's certificate: with TLS 1.3 it does so after the handshake."""

OTHER_AUTHORITY = (18, 19, 20, 21)
"""x509_vfy.h: self-signed, self-signed in the chain, and two ways in which the issuer is not known here."""


@dataclass(frozen=True)
class Handshake:
    """How it went. `trouble` is empty when both sides accepted each other; `is_plain`: the other speaks no TLS."""

    node_id: str = ""
    trouble: str = ""
    is_plain: bool = False


def attempt(address: str, *, objection_s: float = OBJECTION_S) -> Handshake:
    """Connect with this node's certificate; raises OSError when this node's own files can't be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As Gluster does: whoever the authority vouches for may answer, whatever its name.
    context.check_hostname = False
    context.load_verify_locations(paths.TRUSTED)
    context.load_cert_chain(paths.NODE_CERTIFICATE, paths.NODE_KEY)
    try:
        with socket.create_connection((address, paths.GLUSTERD_PORT), timeout=LIMIT_S) as raw:
            return _shake(context, raw, objection_s)
    except ConnectionRefusedError:
        return Handshake(
            trouble="refuses connections: no glusterd listens, or its packet filter knows no such member"
        )
    except OSError as error:
        return Handshake(trouble=f"can't be reached: {error.strerror or error}")


def _shake(context: ssl.SSLContext, raw: socket.socket, objection_s: float) -> Handshake:
    try:
        tls = context.wrap_socket(raw)
    except ssl.SSLCertVerificationError as error:
        reason = "of another authority" if error.verify_code in OTHER_AUTHORITY else error.verify_message
        return Handshake(trouble=f"shows a certificate that is not accepted here: {reason}")
    except (ssl.SSLError, ConnectionResetError) as error:
        alert = isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
        return Handshake(trouble=_objection(error) if alert else "speaks no TLS", is_plain=not alert)
    except TimeoutError:
        return Handshake(trouble=f"did not finish the TLS handshake in {LIMIT_S:g} s")
    with tls:
        node_id = common_name(x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b""))
        tls.settimeout(objection_s)
        try:
            tls.recv(1)
        except TimeoutError:
            return Handshake(node_id)
        except OSError as error:
            return Handshake(node_id, _objection(error))
        return Handshake(node_id, "ends the connection after the TLS handshake")


def _objection(error: OSError) -> str:
    said = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
    return f"does not accept this node's certificate: {said.lower().replace('_', ' ')}"
