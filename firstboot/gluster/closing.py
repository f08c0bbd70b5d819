"""Gluster closed to strangers: everything that must be in place before glusterd may start."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from pathlib import Path

from firstboot import paths
from firstboot.context import Context
from firstboot.errors import RefusedError, TrivetError
from firstboot.files import write_atomic
from firstboot.gluster import credentials, handshake, processes
from firstboot.network.packetfilter import THE_FILTER
from firstboot.services import is_active

log = logging.getLogger(__name__)

UNIT = processes.UNIT
OPTION = re.compile(r"^\s*option\s+(?P<name>\S+)\s+(?P<value>\S+)\s*$", re.MULTILINE)
DEFAULT_PORTS = range(49152, 61000)
"""glusterd's own, where glusterd.vol does not say."""
IMAGE_HINT = "the image has it right (element trivet-gluster): what changed it?"


class Closing:
    """What one agent does about it. `close` may be called again and again: done already, it changes nothing."""

    def __init__(self) -> None:
        self._is_proved = False

    def close(self, context: Context) -> None:
        """Close what is open: credentials proved, TLS wherever Gluster looks for it, the packet filter loaded.

        Raises TrivetError with the true cause; glusterd must not be started then.
        """
        assert context.node_id is not None, "a phase before identity asked for it"
        if not paths.SECURE_ACCESS.exists():
            end_open(f"it may have been started without {paths.SECURE_ACCESS}")
        credentials.verify(credentials.read(), context.node_id, datetime.now(UTC))
        for link, target in links().items():
            place_link(link, target)
        require_ports(read_port_range())
        THE_FILTER.keep(member.data_address for member in context.members.values())
        if not paths.SECURE_ACCESS.exists():
            write_atomic(paths.SECURE_ACCESS, "", mode=0o600)
        if not self._is_proved and is_active(UNIT) and speaks_plainly():
            end_open("it speaks no TLS")
        self._is_proved = True


def speaks_plainly() -> bool:
    """Whether this node's glusterd was started without TLS."""
    return handshake.attempt("127.0.0.1", objection_s=0.1).is_plain


def end_open(reason: str) -> None:
    """End a glusterd that obeys anybody, and what it started as open as itself; it is started again closed."""
    if is_active(UNIT):
        log.warning("glusterd is stopped: %s", reason)
    processes.end_all()


def links() -> dict[Path, Path]:
    """Where Gluster looks for its files, and what must be there."""
    targets = {"pem": paths.NODE_CERTIFICATE, "key": paths.NODE_KEY, "ca": paths.TRUSTED}
    return {folder / f"glusterfs.{kind}": target for folder in paths.TLS_FOLDERS for kind, target in targets.items()}


def place_link(link: Path, target: Path) -> None:
    """Make the link where it is missing; raises RefusedError where something else is in its place."""
    if link.is_symlink() and link.readlink() == target:
        return
    if link.is_symlink() or link.exists():
        raise RefusedError(
            f"{link} is not a link to {target}: Gluster would use another certificate",
            hint=f"nothing was changed; if it is of no use: rm {link}",
        )
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    except OSError as error:
        raise TrivetError(f"the link {link} to {target} can't be made: {error.strerror}", hint=IMAGE_HINT) from error


def port_range(options: str) -> range:
    """The ports that glusterd gives to bricks, from the text of glusterd.vol. Pure."""
    found = {option["name"]: option["value"] for option in OPTION.finditer(options)}
    first, last = found.get("base-port", ""), found.get("max-port", "")
    return range(
        int(first) if first.isdecimal() else DEFAULT_PORTS[0],
        (int(last) if last.isdecimal() else DEFAULT_PORTS[-1]) + 1,
    )


def require_ports(ports: range) -> None:
    """Raise RefusedError when bricks could get ports that the packet filter does not guard. Pure."""
    if not ports or ports[0] not in paths.BRICK_PORTS or ports[-1] not in paths.BRICK_PORTS:
        guarded = f"{paths.BRICK_PORTS[0]} to {paths.BRICK_PORTS[-1]}"
        given = f"{ports.start} to {ports.stop - 1}"
        raise RefusedError(
            f"{paths.GLUSTERD_OPTIONS} gives bricks the ports {given}; the packet filter guards {guarded}",
            hint=f"option base-port {paths.BRICK_PORTS[0]}, option max-port {paths.BRICK_PORTS[-1]}; {IMAGE_HINT}",
        )


def read_port_range() -> range:
    """The ports that this node's glusterd gives to bricks; raises TrivetError without its options."""
    try:
        return port_range(paths.GLUSTERD_OPTIONS.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        raise TrivetError(f"{paths.GLUSTERD_OPTIONS} is not there", hint=IMAGE_HINT) from None
