"""Finding members without multicast: what seed, DHCP and DNS give, and what is said of it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from firstboot.cluster import fallbacks
from firstboot.cluster.events import Endpoint
from firstboot.cluster.fallbacks import (
    MAX_ADDRESSES,
    Fallbacks,
    Way,
    dhcp_addresses,
    endpoint,
    resolve,
    search_domains,
)

PORT = 7463
NETWORKCTL = (Path(__file__).parent / "samples" / "networkctl-status.json").read_text()
"""Of systemd 257, with dnsmasq's `dhcp-option=224,192.0.2.11,192.0.2.12` and a second private option."""


def looker(*peers: str, needed: bool = True) -> tuple[Fallbacks, list[str]]:
    news: list[str] = []
    made = Fallbacks(peers, port=PORT, link=lambda: None, needed=lambda: needed, found=lambda: news.append("news"))
    return made, news


@pytest.fixture(autouse=True)
def _no_resolver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fallbacks, "RESOLV_CONF", tmp_path / "resolv.conf")


def answers(monkeypatch: pytest.MonkeyPatch, known: dict[str, list[str]]) -> None:
    """A resolver that knows these names and no others."""

    def lookup(name: str, port: int, **_: object) -> list[object]:
        if name not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[name]]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def test_peers_of_the_seed() -> None:
    assert endpoint("192.0.2.1", PORT) == Endpoint("192.0.2.1", PORT)
    assert endpoint("192.0.2.1:99", PORT) == Endpoint("192.0.2.1", 99)
    assert endpoint("[2001:db8::1]:99", PORT) == Endpoint("2001:db8::1", 99)
    assert endpoint("2001:db8::1", PORT) == Endpoint("2001:db8::1", PORT)
    assert endpoint("node1.example.org:99", PORT) == Endpoint("node1.example.org", 99)


def test_addresses_of_the_seed_are_there_at_once() -> None:
    made, _ = looker("192.0.2.1", "192.0.2.2:99")
    assert made.endpoints() == [Endpoint("192.0.2.1", PORT), Endpoint("192.0.2.2", 99)]
    assert [str(way) for way in made.ways] == ["seed: 2 addresses"]


def test_names_lead_to_all_their_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, {"nodes.example.org": ["192.0.2.1", "2001:db8::1", "127.0.0.1"]})
    made, news = looker("nodes.example.org:99", "gone.example.org")
    made.look()
    assert made.endpoints() == [Endpoint("192.0.2.1", 99), Endpoint("2001:db8::1", 99)]
    assert [str(way) for way in made.ways] == [
        "DNS name nodes.example.org: 2 addresses",
        "DNS name gone.example.org: no such name",
    ]
    assert news == ["news"]
    made.look()
    assert news == ["news"]


def test_the_search_domains_are_asked_for_the_usual_name(monkeypatch: pytest.MonkeyPatch) -> None:
    fallbacks.RESOLV_CONF.write_text("nameserver 127.0.0.53\nsearch example.org lab.example.org\n")
    answers(monkeypatch, {"trivet-peers.lab.example.org": ["192.0.2.5"]})
    made, _ = looker()
    made.look()
    assert made.endpoints() == [Endpoint("192.0.2.5", PORT)]
    assert [str(way) for way in made.ways] == [
        "DNS name trivet-peers.example.org: no such name",
        "DNS name trivet-peers.lab.example.org: 1 address",
    ]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "no answer"),
        (socket.gaierror(socket.EAI_NODATA, "No address"), "no such name"),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), "non-recoverable failure"),
        (UnicodeError("label too long"), "is no name"),
    ],
)
def test_why_a_name_leads_nowhere(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    def fail(*_: object, **__: object) -> list[object]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert resolve("x.example.org", PORT) == Way("DNS name x.example.org", (), said)


def test_a_name_with_very_many_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, {"many": [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000)]})
    assert len(resolve("many", PORT).endpoints) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("text", "domains"),
    [
        ("", ()),
        ("search .\n", ()),
        ("search a.example b.example.\n", ("a.example", "b.example")),
        ("domain old.example\n# search no.example\nsearch new.example\n", ("new.example",)),
        ("search " + " ".join(f"d{n}.example" for n in range(20)), tuple(f"d{n}.example" for n in range(6))),
    ],
)
def test_search_domains(text: str, domains: tuple[str, ...]) -> None:
    assert search_domains(text) == domains


def test_the_addresses_that_dhcp_gave() -> None:
    assert dhcp_addresses(NETWORKCTL) == ("192.0.2.11", "192.0.2.12")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("c000020b", ("192.0.2.11",)),
        ("c000020bc000", ("192.0.2.11",)),
        ("c000020bc000020b", ("192.0.2.11",)),
        ("7f000001e00000fb00000000", ()),
        ("no hex", ()),
        ("", ()),
        ("0a000001" * 300, ("10.0.0.1",)),
    ],
)
def test_odd_options_of_dhcp(data: str, found: tuple[str, ...]) -> None:
    text = f'{{"DHCPv4Client": {{"PrivateOptions": [{{"Option": 224, "PrivateOptionData": "{data}"}}]}}}}'
    assert dhcp_addresses(text) == found


@pytest.mark.parametrize("text", ["{}", '{"DHCPv4Client": {}}', '{"DHCPv4Client": {"PrivateOptions": "x"}}', "no"])
def test_no_lease_or_another_format_is_no_address(text: str) -> None:
    assert dhcp_addresses(text) == ()


def test_a_way_says_what_it_gave() -> None:
    assert str(Way("DHCP option 224", (), "not given")) == "DHCP option 224: not given"
    assert str(Way("seed", (Endpoint("192.0.2.1", PORT),))) == "seed: 1 address"
