"""What the tests of the Gluster room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot.gluster import client, completion, options
from firstboot.gluster.client import Pool
from tests.unit.firstboot.gluster.onevolume import GROUP, FakeGlusterd


@pytest.fixture
def glusterd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeGlusterd:
    fake = FakeGlusterd()
    for name in ("create", "add_bricks", "heal_full", "set_group", "set_options", "start"):
        monkeypatch.setattr(client, name, getattr(fake, name))
    monkeypatch.setattr(client, "clients", fake.who_is_connected)
    monkeypatch.setattr(completion, "LOOK_PAUSE_S", 0.0)
    monkeypatch.setattr(completion, "START_PAUSE_S", 0.0)
    monkeypatch.setattr(completion, "_refused", {})
    monkeypatch.setattr(client, "volumes", lambda: (fake.volume,) if fake.volume else ())
    monkeypatch.setattr(client, "online_bricks", lambda volume: fake.online)
    monkeypatch.setattr(client, "pool", lambda: Pool("me", fake.peers))
    (tmp_path / "virt").write_text(GROUP)
    monkeypatch.setattr(options, "GROUPS", tmp_path)
    return fake
