"""The door through which `trivet-node` tells the running agent what an operator wants: a socket for root alone.

One connection is one order: a line of JSON comes in (format trivet-control 1), lines of JSON go out: any number of
`{"progress": text}`, then one `{"done": document}` or `{"failed": {"message", "hint", "exit_code"}}`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import ValidationError

from firstboot.errors import BadInputError, Exit, MissingError, TrivetError
from firstboot.model import Model

log = logging.getLogger(__name__)

MAX_LINE = 64 * 1024
ORDER_S = 10.0
"""For the order to come in. Carrying it out may take as long as it takes."""
CONNECT_S = 10.0
SO_PEERCRED = struct.Struct("3i")
"""unix(7): process, user and group of the other end."""

Progress = Callable[[str], None]
Verb = Callable[[Mapping[str, object], Progress], Model]
"""Carries an order out: its arguments, and where to say what is being done; raises TrivetError."""


class Order(Model):
    """What comes in."""

    format: Literal["trivet-control"] = "trivet-control"
    version: str = "1.0"
    verb: str
    arguments: dict[str, Any] = {}


class ControlServer(socketserver.ThreadingUnixStreamServer):
    """Serves orders in threads of its own; one order at a time is carried out."""

    daemon_threads = True

    def __init__(self, path: Path, verbs: Mapping[str, Verb]) -> None:
        self.verbs = dict(verbs)
        self.one = threading.Lock()
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            super().__init__(str(path), _Handler)
        finally:
            os.umask(before)

    def serve(self) -> None:
        threading.Thread(target=self.serve_forever, name="control", daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        Path(str(self.server_address)).unlink(missing_ok=True)

    def handle_error(self, request: object, client_address: object) -> None:
        log.debug("a control connection failed", exc_info=True)


class _Handler(socketserver.StreamRequestHandler):
    timeout = ORDER_S

    def handle(self) -> None:
        server = cast("ControlServer", self.server)
        raw = self.request.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, SO_PEERCRED.size)
        _, user, _ = SO_PEERCRED.unpack(raw)
        if user != os.geteuid():
            self._say({"failed": _failure(MissingError("only root may give orders to the agent"))})
            return
        try:
            order = Order.model_validate_json(self.rfile.readline(MAX_LINE))
        except ValidationError:
            self._say({"failed": _failure(BadInputError("the order can't be read"))})
            return
        verb = server.verbs.get(order.verb)
        if verb is None:
            self._say({"failed": _failure(BadInputError(f"this agent knows no order {order.verb[:40]}"))})
            return
        self.connection.settimeout(None)
        log.info("an operator orders: %s %s", order.verb, order.arguments)
        try:
            if not server.one.acquire(blocking=False):
                self._tell("another order is being carried out: this one comes after it")
                server.one.acquire()
            try:
                document = verb(order.arguments, self._tell)
            finally:
                server.one.release()
        except TrivetError as error:
            log.warning("%s is refused: %s", order.verb, error.message)
            self._say({"failed": _failure(error)})
        except Exception as error:
            log.exception("%s failed", order.verb)
            self._say({"failed": _failure(TrivetError(f"unexpected {type(error).__name__}: {error}"))})
        else:
            self._say({"done": document.model_dump(mode="json")})

    def _tell(self, text: str) -> None:
        """Say what is being done; an operator who does not wait for the end changes nothing about it."""
        with suppress(OSError):
            self._say({"progress": text})

    def _say(self, document: dict[str, object]) -> None:
        self.wfile.write(json.dumps(document).encode() + b"\n")
        self.wfile.flush()


def order(path: Path, verb: str, arguments: Mapping[str, object], progress: Progress) -> dict[str, Any]:
    """Give an order to the running agent and wait for its end; raises the TrivetError that the agent raised.

    MissingError when no agent runs, or it is not one's own to order.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(CONNECT_S)
            door.connect(str(path))
            door.settimeout(None)
            text = Order(verb=verb, arguments=dict(arguments)).model_dump_json()
            with suppress(BrokenPipeError):  # refused already: the answer says why
                door.sendall(text.encode() + b"\n")
            return _listen(door, progress)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise MissingError("no agent runs on this machine", hint="systemctl start trivet-firstboot") from error
    except PermissionError as error:
        raise MissingError("only root may give orders to the agent", hint="sudo trivet-node …") from error


def _listen(door: socket.socket, progress: Progress) -> dict[str, Any]:
    with door.makefile("rb") as lines:
        for line in lines:
            said = json.loads(line)
            if "progress" in said:
                progress(str(said["progress"]))
            elif "done" in said:
                return dict(said["done"])
            else:
                raise _error(said["failed"])
    raise TrivetError("the agent ended before it had answered", hint="trivet-node status; then give the order again")


def _failure(error: TrivetError) -> dict[str, object]:
    return {"message": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}


def _error(said: Mapping[str, Any]) -> TrivetError:
    error = TrivetError(str(said["message"]), hint=str(said["hint"]))
    error.exit_code = Exit(int(said["exit_code"]))
    return error
