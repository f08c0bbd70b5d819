"""What the log says of who was refused: a line each, and no more than a bounded number."""

from __future__ import annotations

import logging
import ssl

import pytest

from firstboot.cluster.strangers import MAX_KNOWN, QUIET_S, Strangers, reason
from firstboot.errors import BadInputError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_line_an_address_and_reason_and_a_count_after(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    strangers = Strangers(clock)
    for _ in range(1000):
        strangers.refuse("192.0.2.9", BadInputError("nobody of ours"))
    strangers.refuse("192.0.2.9", TimeoutError())
    assert caplog.messages == [
        "refused a connection from 192.0.2.9: nobody of ours",
        "refused a connection from 192.0.2.9: no TLS handshake in time",
    ]
    clock.now = QUIET_S
    strangers.refuse("192.0.2.9", BadInputError("nobody of ours"))
    assert caplog.messages[-1].endswith("nobody of ours (999 more times since the last line)")


def test_many_addresses_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    clock = Clock()
    strangers = Strangers(clock)
    for number in range(5000):
        strangers.refuse(f"address {number}", TimeoutError())
    assert len(caplog.messages) == MAX_KNOWN + 1
    assert "others: too many to name" in caplog.messages[-1]
    clock.now = 2 * QUIET_S
    strangers.refuse("address 77777", TimeoutError())
    assert "address 77777" in caplog.messages[-1]


def test_reasons_are_words() -> None:
    failed = ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher")
    failed.reason = "NO_SHARED_CIPHER"
    assert reason(failed) == "TLS failed: no shared cipher"
    assert reason(ConnectionResetError(104, "Connection reset by peer")) == "connection reset by peer"
    assert reason(KeyError("x")) == "KeyError"
