"""`serve ADDRESS` takes one TCP stream and prints how long it was; `send ADDRESS` sends one, retrying for a while."""

from __future__ import annotations

import socket
import sys
import time

PORT = 5000
LENGTH = 3_000_000
"""Long enough that senders leave cutting and checksums to what they take for a card."""
LIMIT_S = 30.0


def serve(address: str) -> None:
    with socket.create_server((address, PORT)) as listener:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            print(len(stream.read()))


def send(address: str) -> None:
    end = time.monotonic() + LIMIT_S
    while True:
        try:
            with socket.create_connection((address, PORT), 5) as connection:
                connection.sendall(bytes(LENGTH))
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    {"serve": serve, "send": send}[sys.argv[1]](sys.argv[2])
