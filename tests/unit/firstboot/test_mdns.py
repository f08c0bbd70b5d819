"""The gate before zeroconf: what it lets through, what it reads in passing, and what it drops."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster.announcement import Announcement, Heard
from firstboot.cluster.mdns import (
    MAX_PACKET_BYTES,
    QUESTION,
    READ_PER_S,
    READ_PER_SENDER,
    TAKEN_PER_S,
    Budget,
    Gate,
    Sender,
    read,
)
from tests.unit.firstboot.packets import packet

SITE = "c" * 32
OWN = Announcement(SITE, 2, "a" * 32, "admit", 7463, "slot 3 (node3) has not appeared")
FROM: Sender = ("192.0.2.2", 5353)


class Inner:
    """Stands for zeroconf's listener."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, Sender]] = []

    def datagram_received(self, data: bytes, addr: Sender) -> None:
        self.got.append((data, addr))

    def error_received(self, exc: Exception) -> None:
        raise exc

    def connection_lost(self, exc: Exception | None) -> None:
        raise AssertionError(exc)


class Door:
    """A gate, and what came of what was sent to it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.inner = Inner()
        self.heard: list[Heard] = []
        self.budget = Budget(lambda: self.now, self.sleep)
        self.gate = Gate(self.inner, SITE, self.heard.append, self.budget, lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def send(self, data: bytes, sender: Sender = FROM) -> None:
        self.gate.datagram_received(data, sender)


def test_an_announcement_is_read_and_not_handed_on() -> None:
    door = Door()
    door.send(packet(OWN, ["192.0.2.2", "2001:db8::2"]))
    assert door.heard == [Heard(OWN, ("192.0.2.2", "2001:db8::2"))]
    assert door.inner.got == []


def test_link_local_addresses_have_the_scope_of_the_link_that_they_came_by() -> None:
    door = Door()
    door.send(packet(OWN, ["fe80::2", "2001:db8::2"]), ("fe80::2", 5353, 0, 4))
    assert [heard.addresses for heard in door.heard] == [("fe80::2%4", "2001:db8::2")]


def test_goodbyes_other_sites_and_other_ports_are_nothing() -> None:
    door = Door()
    door.send(packet(OWN, ["192.0.2.2"], ttl=0))
    door.send(packet(Announcement("d" * 32, 2, "a" * 32, "admit", 7463), ["192.0.2.2"]))
    door.send(packet(OWN, ["192.0.2.2"]), ("192.0.2.2", 5354))
    door.send(packet(OWN, ["192.0.2.2"]) + bytes(MAX_PACKET_BYTES))
    assert (door.heard, door.inner.got) == ([], [])


def test_zeroconf_is_asked_its_one_question_once_a_second_whatever_else_is_asked() -> None:
    door = Door()
    asked = QUESTION + b"what the asker pretends to know"
    for _ in range(100):
        door.send(asked)
    door.now = 1.0
    door.send(asked)
    door.send(struct.pack("!6H", 0, 0, 1, 0, 0, 0) + b"\x05_http\x04_tcp\x05local\x00\x00\x0c\x00\x01")
    assert door.inner.got == [(QUESTION, FROM)] * 2


def test_a_flood_is_cut_by_sender_and_in_all() -> None:
    door, data = Door(), packet(OWN, ["192.0.2.2"])
    for _ in range(READ_PER_SENDER + 10):
        door.send(data)
    assert (len(door.heard), door.budget.refused) == (READ_PER_SENDER, 10)
    for number in range(READ_PER_S):
        door.send(data, (f"10.0.{number // 250}.{number % 250}", 5353))
    assert len(door.heard) == READ_PER_S
    door.now = 1.0
    door.send(data)
    assert len(door.heard) == READ_PER_S + 1


def test_when_packets_come_too_fast_it_rests() -> None:
    door = Door()
    for _ in range(3 * TAKEN_PER_S):
        door.send(b"anything")
    assert door.now == 2.0


def test_more_records_than_anybody_needs_are_not_read() -> None:
    data = packet(OWN, ["192.0.2.2"])
    assert read(data[:6] + struct.pack("!H", 65) + data[8:], site_id=SITE, scope=0) == []


@given(st.binary(max_size=MAX_PACKET_BYTES), st.integers(0, 200), st.integers(0, 200))
def test_rubbish_is_harmless(rubbish: bytes, start: int, length: int) -> None:
    good = packet(OWN, ["192.0.2.2"])
    door = Door()
    door.send(good[:12] + rubbish + good[12:])
    door.send(good[:start] + rubbish[:length] + good[start + length :])
    assert all(heard.announcement.site_id == SITE for heard in door.heard)
    assert door.inner.got == []
