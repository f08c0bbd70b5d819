"""TCP connections of addresses that are gone: ended at once, so that whoever holds one connects anew by name."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from firstboot.run import run

log = logging.getLogger(__name__)

TIMEOUT_S = 30


def drop(addresses: Iterable[str]) -> None:
    """End every connection from or to these addresses, which no member has any more.

    Nothing comes back from such an address: without this glusterd and Gluster's clients wait for answers until TCP
    gives up, and commands of the whole pool with them. ss(8) can't where the kernel lacks INET_DIAG_DESTROY; then
    their own time limits end the wait.
    """
    for address in sorted(addresses):
        log.info("ending the connections of %s, which is no member's address any more", address)
        for side in ("src", "dst"):
            run(["ss", "--no-header", "--tcp", "--kill", side, address], timeout_s=TIMEOUT_S, check=False)
