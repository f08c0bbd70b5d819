"""A volume's options on the node that does not correct them: when its glusterd is started again."""

from __future__ import annotations

import pytest

from firstboot.gluster import options
from firstboot.gluster.client import VolumeInfo
from firstboot.gluster.options import MISSED_S, closing_options, keep_closed
from firstboot.phases import Wait
from tests.unit.firstboot.gluster.formed import context, members


def volume(values: dict[str, str]) -> VolumeInfo:
    return VolumeInfo("data", "1" * 32, "Replicate", "Started", 3, 0, (), values)


def test_glusterd_is_started_again_where_it_failed_in_its_part_of_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    node, now, restarts = context(2), [0.0], []
    monkeypatch.setattr(options, "_missed", options.daemon.Lasting(MISSED_S))
    monkeypatch.setattr(options, "corrector", lambda _: members()[1])
    monkeypatch.setattr(options.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(options.daemon, "restart", lambda: restarts.append(now[0]))
    lacking, whole = volume({}), volume(closing_options(node.members.values()))
    for now[0] in (0.0, MISSED_S / 2, MISSED_S, MISSED_S + 1):
        waiting = keep_closed(node, lacking)
        assert isinstance(waiting, Wait)
        assert "node1 corrects it" in waiting.hint
    assert restarts == [MISSED_S]
    assert keep_closed(node, whole) is None
    now[0] += 1
    assert isinstance(keep_closed(node, lacking), Wait)
    assert restarts == [MISSED_S], "that is another change"
