"""What becomes of what is heard, and of a network on which multicast fails."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

import pytest

from firstboot.cluster import discovery
from firstboot.cluster.announcement import Announcement, Heard
from firstboot.cluster.discovery import Discovery
from firstboot.cluster.events import Endpoint
from firstboot.cluster.hints import Hints
from firstboot.cluster.mdns import Hear
from firstboot.errors import TrivetError

OWN = Announcement("c" * 32, 1, "a" * 32, "disks", 7463)
OTHER = replace(OWN, slot=2, node_id="b" * 32)
HERE = ("192.0.2.1", "fe80::1")
NETWORKS = (ip_network("192.0.2.0/24"), ip_network("fe80::/64"))


@dataclass
class Air:
    """Stands for the network: what was said on it, and who listens."""

    said: list[Announcement] = field(default_factory=list)
    opened: list[tuple[str, ...]] = field(default_factory=list)
    hear: Hear | None = None
    broken: str = ""

    def open(self, addresses: Sequence[str], site_id: str, hear: Hear) -> Air:
        if self.broken:
            raise TrivetError(self.broken)
        self.opened.append(tuple(addresses))
        self.hear = hear
        return self

    def announce(self, announcement: Announcement) -> None:
        self.said.append(announcement)

    def close(self) -> None:
        self.hear = None


@dataclass
class Node:
    """A node on that network."""

    air: Air
    news: list[int] = field(default_factory=list)
    hints: Hints = field(default_factory=lambda: Hints(frozenset({1, 2, 3}), lambda: 0.0, random.Random(1)))

    def __post_init__(self) -> None:
        self.discovery = Discovery(
            self.hints, slots=3, describe=lambda: OWN, complete=lambda: True, found=self.news.append
        )

    def hears(self, said: Announcement, *addresses: str) -> list[str]:
        assert self.air.hear is not None
        self.air.hear(Heard(said, addresses))
        return sorted(endpoint.address for endpoint in self.hints.of_slot(said.slot))


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    air = Air()
    monkeypatch.setattr(discovery, "Mdns", air.open)
    made = Node(air)
    yield made
    made.discovery.close()


def test_addresses_of_this_link_are_hints(node: Node) -> None:
    node.discovery.follow(HERE, NETWORKS)
    assert node.hears(OTHER, "192.0.2.2", "fe80::2%4", "fe80::2") == ["192.0.2.2", "fe80::2%4"]
    assert node.hints.of_slot(2)[0] == Endpoint("192.0.2.2", 7463)
    assert node.news == [2]
    node.hears(OTHER, "192.0.2.2")
    assert node.news == [2], "that was no news"


def test_nothing_else_is(node: Node) -> None:
    node.discovery.follow(HERE, NETWORKS)
    assert node.hears(OTHER, "198.51.100.2", "127.0.0.1", "2001:db8::2") == []
    assert node.hears(replace(OTHER, port=22), "192.0.2.2") == []
    assert node.hears(OWN, "192.0.2.1") == []
    assert node.news == []


def test_it_is_started_anew_only_when_addresses_change(node: Node) -> None:
    node.discovery.follow(HERE, NETWORKS)
    node.discovery.follow(HERE, NETWORKS)
    node.discovery.follow(("192.0.2.9",), NETWORKS)
    assert node.air.opened == [HERE, ("192.0.2.9",)]
    assert node.air.said == [OWN, OWN]


def test_where_multicast_fails_it_is_tried_again(node: Node) -> None:
    node.air.broken = "multicast can't be used on 192.0.2.1: no such device"
    node.discovery.follow(HERE, NETWORKS)
    assert node.discovery.trouble == node.air.broken
    node.air.broken = ""
    node.discovery.follow(HERE, NETWORKS)
    assert (node.discovery.trouble, node.air.said) == ("", [OWN])
