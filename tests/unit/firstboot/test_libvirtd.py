"""The connection to libvirtd: closed at the end, its errors told of what it was for."""

from __future__ import annotations

import libvirt
import pytest

from firstboot.errors import RefusedError, TrivetError
from firstboot.libvirtd import connected


class FakeConnection:
    """A connection that knows whether it is closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> FakeConnection:
    made = FakeConnection()
    monkeypatch.setattr(libvirt, "open", lambda uri: made)
    return made


def test_it_is_closed_at_the_end(connection: FakeConnection) -> None:
    with connected("pool images") as given:
        assert given is connection
        assert not connection.closed
    assert connection.closed


def test_its_errors_are_told(connection: FakeConnection) -> None:
    with pytest.raises(TrivetError, match="^pool images: no such pool") as caught, connected("pool images"):
        raise libvirt.libvirtError("no such pool")
    assert "journalctl -u libvirtd" in caught.value.hint
    assert connection.closed


def test_other_errors_pass(connection: FakeConnection) -> None:
    with pytest.raises(RefusedError, match="^not ours$"), connected("pool images"):
        raise RefusedError("not ours")
    assert connection.closed


def test_no_daemon_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(uri: str) -> None:
        raise libvirt.libvirtError("Failed to connect socket")

    monkeypatch.setattr(libvirt, "open", refuse)
    with pytest.raises(TrivetError, match="^pool images: Failed to connect socket"), connected("pool images"):
        pass
