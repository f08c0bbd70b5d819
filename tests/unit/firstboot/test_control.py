"""Orders of operators to the running agent: progress, results and refusals come through, others are kept out."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from firstboot import control
from firstboot.control import ControlServer, Progress, order
from firstboot.errors import BadInputError, Exit, MissingError, RefusedError, TrivetError
from firstboot.model import Model


class Sum(Model):
    total: int


def add(arguments: Mapping[str, object], progress: Progress) -> Model:
    progress("adding")
    numbers = arguments["numbers"]
    if not isinstance(numbers, list):
        raise BadInputError("no numbers", hint="give some")
    return Sum(total=sum(numbers))


def refuse(arguments: Mapping[str, object], progress: Progress) -> Model:
    raise RefusedError("not now", hint="later")


def fall(arguments: Mapping[str, object], progress: Progress) -> Model:
    raise KeyError("x")


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "control.sock"
    server = ControlServer(path, {"add": add, "refuse": refuse, "fall": fall})
    server.serve()
    yield path
    server.close()


def test_an_order_says_what_it_does_and_what_came_of_it(door: Path) -> None:
    heard: list[str] = []
    assert order(door, "add", {"numbers": [1, 2]}, heard.append) == {"total": 3}
    assert heard == ["adding"]
    assert door.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("verb", "words", "code"),
    [
        ("refuse", "not now", Exit.REFUSED),
        ("add", "no numbers", Exit.BAD_INPUT),
        ("fall", "unexpected KeyError", Exit.FAILED),
        ("fly", "knows no order fly", Exit.BAD_INPUT),
    ],
)
def test_refusals_come_with_hint_and_exit_code(door: Path, verb: str, words: str, code: Exit) -> None:
    with pytest.raises(TrivetError, match=words) as caught:
        order(door, verb, {"numbers": 1}, lambda _: None)
    assert caught.value.exit_code is code


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[" * 5000 + b"\n", b"x" * 100_000 + b"\n", b'{"verb": 3}\n'])
def test_garbage_is_answered(door: Path, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.connect(str(door))
        raw.sendall(line)
        raw.shutdown(socket.SHUT_WR)
        said = json.loads(raw.makefile("rb").readline())
    assert said["failed"]["message"] == "the order can't be read"


def test_another_user_is_refused(door: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control.os, "geteuid", lambda: 12345)
    with pytest.raises(MissingError.__base__, match="only root"):  # type: ignore[arg-type]
        order(door, "add", {"numbers": [1]}, lambda _: None)


def test_without_an_agent_there_is_nobody_to_order(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no agent runs"):
        order(tmp_path / "none.sock", "add", {}, lambda _: None)


def test_who_does_not_wait_for_the_end_changes_nothing(tmp_path: Path) -> None:
    begun, done = threading.Event(), threading.Event()

    def slow(arguments: Mapping[str, object], progress: Progress) -> Model:
        begun.set()
        progress("after the other end has gone, many times over")
        for _ in range(100):
            progress("still there?" * 1000)
        done.set()
        return Sum(total=0)

    server = ControlServer(tmp_path / "control.sock", {"slow": slow})
    server.serve()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.connect(str(tmp_path / "control.sock"))
        gone.sendall(control.Order(verb="slow").model_dump_json().encode() + b"\n")
        assert begun.wait(60)
    assert done.wait(60), "the order was given up"
    server.close()


def test_one_order_comes_after_the_other(tmp_path: Path) -> None:
    first, go_on, heard = threading.Event(), threading.Event(), []

    def hold(arguments: Mapping[str, object], progress: Progress) -> Model:
        first.set()
        assert go_on.wait(60)
        return Sum(total=1)

    path = tmp_path / "control.sock"
    server = ControlServer(path, {"hold": hold, "add": add})
    server.serve()
    holding = threading.Thread(target=order, args=(path, "hold", {}, heard.append))
    holding.start()
    assert first.wait(60)

    def hear(text: str) -> None:
        heard.append(text)
        go_on.set()

    assert order(path, "add", {"numbers": [1]}, hear) == {"total": 1}
    holding.join(60)
    assert heard == ["another order is being carried out: this one comes after it", "adding"]
    server.close()
