"""Says in the log who was refused and why, however often they come: a bounded number of lines."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable

from firstboot.errors import BadInputError

log = logging.getLogger(__name__)

QUIET_S = 60.0
"""One line an address and reason in this time; what came besides is counted in the next one."""
MAX_KNOWN = 64
"""Addresses and reasons within QUIET_S; more are counted in one line together."""
OTHERS = "others"


class Strangers:
    """Counts refusals. Safe to call from any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, int]] = {}

    def refuse(self, address: str, error: BaseException) -> None:
        """Log that somebody at the address was refused, unless that was said a moment ago."""
        line = self._count(address, reason(error))
        if line:
            log.warning("%s", line)

    def _count(self, address: str, why: str) -> str:
        with self._lock:
            now = self._clock()
            key = (address, why)
            if key not in self._known and len(self._known) >= MAX_KNOWN:
                self._known = {k: known for k, known in self._known.items() if now - known[0] < QUIET_S}
                if len(self._known) >= MAX_KNOWN:
                    key = (OTHERS, "too many to name")
            said, silent = self._known.get(key, (now - QUIET_S, 0))
            if now - said < QUIET_S:
                self._known[key] = (said, silent + 1)
                return ""
            self._known[key] = (now, 0)
        more = f" ({silent} more times since the last line)" if silent else ""
        return f"refused a connection from {key[0]}: {key[1]}{more}"


def reason(error: BaseException) -> str:
    """What was wrong with a caller, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'unknown').replace('_', ' ').lower()}"
    if isinstance(error, BadInputError):
        return error.message
    if isinstance(error, TimeoutError):
        return "no TLS handshake in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
