"""What a removal would cost each volume: which copies are left, and which of them count."""

from __future__ import annotations

import pytest

from firstboot.cluster.losses import losses
from firstboot.cluster.views import View
from firstboot.gluster import client, heals
from firstboot.gluster.client import VolumeInfo
from firstboot.gluster.wanted import wanted_volumes
from firstboot.plan import VolumeType
from tests.unit.cluster.documents import founded, node, seed
from tests.unit.firstboot.gluster.formed import context, plan


def test_what_a_removal_leaves_of_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    here = context(2, of=plan(kind=VolumeType.ARBITER))
    (arbiter,) = wanted_volumes(here)
    info = VolumeInfo("data", "id", "Replicate", "Started", 3, 1, tuple(arbiter.names.values()), {})
    monkeypatch.setattr(client, "volumes", lambda: (info,))
    (loss,) = losses(here, founded(), 1)
    assert loss.possible
    assert loss.text == (
        "volume data keeps 1 of 2 data copies and the arbiter, until a machine replaces the node in its slot"
    )
    (loss,) = losses(here, founded(), 3)
    assert (loss.possible, loss.text) == (True, "volume data keeps 2 of 3 copies")
    (loss,) = losses(here, founded(without=(1,)), 2)
    assert (loss.possible, loss.text) == (False, "volume data keeps data on it that is nowhere else")
    here.views[1] = View(node_id=node(1), slot=1, seed_id=seed(1), phase="volumes", empty=("data",))
    (loss,) = losses(here, founded(), 2)
    assert not loss.possible, "the other one has nothing yet"


def test_a_copy_that_heals_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    here = context(3, of=plan(kind=VolumeType.ARBITER))
    (arbiter,) = wanted_volumes(here)
    bricks = tuple(arbiter.names.values())
    info = VolumeInfo("data", "id", "Replicate", "Started", 3, 1, bricks, {})
    monkeypatch.setattr(client, "volumes", lambda: (info,))
    monkeypatch.setattr(heals, "copies", lambda _: {f"data-client-{n}": brick for n, brick in enumerate(bricks)})
    monkeypatch.setattr(heals, "owed", lambda path, names: frozenset({"data-client-0"}))
    (loss,) = losses(here, founded(), 2)
    assert (loss.possible, loss.text) == (False, "volume data is healing: node1 lacks what may be nowhere else then")
    (loss,) = losses(here, founded(), 1)
    assert loss.possible, "that one itself can go"
