"""Lists the open TCP ports of an address; prints them as one JSON list. Run it where the packets shall start."""

from __future__ import annotations

import errno
import json
import select
import socket
import sys
import time

ALL_PORTS = range(1, 65536)
AT_ONCE = 400
ANSWER_LIMIT_S = 20.0
"""An emulated machine under load may take seconds to refuse; a filtered port costs the whole limit."""


def open_ports(address: str, ports: range = ALL_PORTS) -> list[int]:
    """Ports that accept a connection."""
    waiting: dict[int, tuple[socket.socket, int, float]] = {}
    poll, found, rest = select.poll(), [], iter(ports)
    exhausted = False
    while waiting or not exhausted:
        while len(waiting) < AT_ONCE and not exhausted:
            port = next(rest, None)
            if port is None:
                exhausted = True
                break
            probe = socket.socket()
            probe.setblocking(False)
            result = probe.connect_ex((address, port))
            if result not in (0, errno.EINPROGRESS):
                sys.exit(f"can't reach {address} port {port}: {errno.errorcode[result]}")
            poll.register(probe, select.POLLOUT)
            waiting[probe.fileno()] = (probe, port, time.monotonic())
        for handle, _ in poll.poll(1000):
            probe, port, _began = waiting.pop(handle)
            if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(port)
            poll.unregister(handle)
            probe.close()
        late = [handle for handle, (_, _, began) in waiting.items() if time.monotonic() - began > ANSWER_LIMIT_S]
        for handle in late:
            poll.unregister(handle)
            waiting.pop(handle)[0].close()
    return sorted(found)


if __name__ == "__main__":
    print(json.dumps(open_ports(sys.argv[1])))
