"""A glusterd that has one volume at most, for the tests of the volumes phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from firstboot.gluster.client import GlusterError, Peer, VolumeInfo
from firstboot.gluster.options import parse_group
from firstboot.phases import Outcome, Wait

BRICKS = tuple(f"node{n}.lab.trivet.internal:/var/lib/trivet/bricks/data-0/brick" for n in (1, 2, 3))
MADE = VolumeInfo("data", "id", "Replicate", "Created", 3, 0, BRICKS, {})
GROUP = "performance.quick-read=off\nfeatures.shard=on\n"
CLOSED = {"auth.ssl-allow": ",".join(f"{n:032x}" for n in (1, 2, 3)), "client.ssl": "on", "server.ssl": "on"}
STARTED = replace(MADE, status="Started", options=CLOSED)


def settled(slot: int) -> Peer:
    return Peer(f"{slot}", (f"node{slot}.lab.trivet.internal",), True, "Peer in Cluster")


class FakeGlusterd:
    """One volume at most; what changes it is written down."""

    def __init__(self) -> None:
        self.volume: VolumeInfo | None = None
        self.online: frozenset[str] = frozenset(BRICKS)
        self.peers: tuple[Peer, ...] = tuple(settled(slot) for slot in (2, 3))
        self.done: list[str] = []
        self.create_error = ""
        self.add_error: GlusterError | None = None
        self.is_added_here = False
        """Whether an addition that fails did so on another node alone."""
        self.clients: dict[str, tuple[str, ...]] | None = None
        """By brick; none: every client knows all bricks."""

    def create(self, volume: str, layout: tuple[str, ...], bricks: tuple[str, ...]) -> None:
        if self.create_error:
            raise GlusterError("creating", self.create_error)
        self.done.append(f"create {volume} {' '.join(layout)}")
        copies = int(layout[1]) if layout else 1
        self.volume = replace(MADE, bricks=bricks, replica=copies, arbiter=int("arbiter" in layout))

    def add_bricks(self, volume: str, layout: tuple[str, ...], bricks: tuple[str, ...]) -> None:
        assert self.volume is not None
        if self.add_error is not None:
            self.done.append("refused")
            if self.is_added_here:
                self.volume = replace(self.volume, bricks=(*self.volume.bricks, *bricks), replica=3)
            raise self.add_error
        self.done.append(f"add {' '.join(layout)} {' '.join(brick.partition('.')[0] for brick in bricks)}")
        copies = int(layout[1]) if layout else self.volume.replica
        self.volume = replace(self.volume, bricks=(*self.volume.bricks, *bricks), replica=copies)

    def heal_full(self, volume: str) -> None:
        assert self.volume is not None
        assert self.volume.options.get("cluster.self-heal-daemon") != "off", "nobody heals"
        self.done.append("heal")

    def who_is_connected(self, volume: str) -> dict[str, tuple[str, ...]]:
        assert self.volume is not None
        return dict.fromkeys(self.volume.bricks, ("10.91.7.1",)) if self.clients is None else self.clients

    def set_group(self, volume: str, group: str) -> None:
        self.done.append(f"group {group}")
        self._set(parse_group(GROUP))

    def set_options(self, volume: str, options: Mapping[str, str]) -> None:
        self.done.append(f"set {dict(options)}")
        self._set(options)

    def _set(self, options: Mapping[str, str]) -> None:
        assert self.volume is not None
        self.volume = replace(self.volume, options={**self.volume.options, **options})

    def start(self, volume: str) -> None:
        assert self.volume is not None
        self.done.append("start")
        self.volume = replace(self.volume, status="Started")


def waited(outcome: Outcome) -> str:
    assert isinstance(outcome, Wait)
    return outcome.reason
