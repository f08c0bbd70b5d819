"""Names and numbers of a lab's network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.lab import addressing
from builder.lab.dhcp import parse_leases, parse_routes
from firstboot.errors import RefusedError
from firstboot.plan import NetworkPlan, SlotPlan
from tests.unit.lab.labs import plan

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)
NETWORKS = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


@given(NAMES, st.lists(NETWORKS, max_size=20))
def test_the_subnet_keeps_off_every_route(name: str, used: list[IPv4Network]) -> None:
    routes = [network for network in used if network.prefixlen > 11]
    try:
        subnet = addressing.choose_subnet(name, routes)
    except RefusedError:
        # Only if they leave no /24 free: 8192 of them, each route of /12 and longer takes at most half.
        assert sum(network.num_addresses for network in routes) >= addressing.POOL.num_addresses // 2
        return
    assert subnet.network.subnet_of(addressing.POOL)
    assert subnet.host in subnet.network
    assert not any(subnet.network.overlaps(network) for network in routes)


def test_the_default_route_takes_nothing() -> None:
    assert addressing.choose_subnet("lab", [IPv4Network("0.0.0.0/0")])


def test_no_free_subnet_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"every subnet of 10\.192\.0\.0/11 is routed"):
        addressing.choose_subnet("lab", [IPv4Network("10.0.0.0/8")])


def test_the_same_name_gives_the_same_subnet_until_it_is_taken() -> None:
    first = addressing.choose_subnet("lab", [])
    assert addressing.choose_subnet("lab", []) == first
    assert addressing.choose_subnet("lab", [first.network]) != first


@given(NAMES, st.integers(1, 300))
def test_interface_names_fit_the_kernel(name: str, number: int) -> None:
    assert len(addressing.bridge_name(name, 9)) <= 15
    assert len(addressing.port_name(name, 1)) <= 15
    assert len(addressing.tap_name(name, number, 15)) <= 15
    assert 20_000 <= addressing.udp_port(name) < 32_000


def test_nodes_of_two_labs_differ() -> None:
    macs = {addressing.mac_address(lab, n, card) for lab in ("a", "b") for n in range(1, 4) for card in range(3)}
    macs |= {addressing.switch_mac(lab, index) for lab in ("a", "b") for index in range(3)}
    assert len(macs) == 24


STATIC = plan(
    network=NetworkPlan(method="static", gateway=IPv4Address("192.168.50.1")),
    slots=tuple(
        SlotPlan.model_validate({"number": n, "name": f"n{n}", "address": f"192.168.50.{n + 9}/24"})
        for n in (1, 2, 3)
    ),
)


def test_static_addresses_decide_the_subnet() -> None:
    subnet = addressing.static_subnet(STATIC, [])
    assert subnet == addressing.Subnet(IPv4Network("192.168.50.0/24"), IPv4Address("192.168.50.1"))


def test_link_local_addresses_follow_from_macs() -> None:
    """The example of RFC 4291, appendix A: the universal bit is inverted, ff:fe put between."""
    assert addressing.link_local("34:56:78:9a:bc:de", "br0") == "fe80::3656:78ff:fe9a:bcde%br0"


def test_static_without_gateway_takes_a_free_address() -> None:
    without = STATIC.model_copy(update={"network": NetworkPlan(method="static")})
    assert addressing.static_subnet(without, []).host == IPv4Address("192.168.50.254")


def test_a_static_network_that_the_host_uses_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"overlaps 192\.168\.0\.0/16"):
        addressing.static_subnet(STATIC, [IPv4Network("192.168.0.0/16")])


def test_routes() -> None:
    text = '[{"dst":"default","gateway":"192.0.2.1"},{"dst":"192.0.2.0/24"},{"type":"local","dst":"127.0.0.1"}]'
    assert parse_routes(text) == [IPv4Network("192.0.2.0/24"), IPv4Network("127.0.0.1/32")]
    assert parse_routes("") == []


def test_leases() -> None:
    text = (
        "1779501723 52:54:00:AA:bb:01 10.203.166.11 node1 01:52:54:00:aa:bb:01\n"
        "duid 00:01:00:01:2c\n"
        "1779501723 1234 fd00::5 * 00:01\n"
        "broken\n"
    )
    (lease,) = parse_leases(text)
    assert (lease.mac, lease.address) == ("52:54:00:aa:bb:01", IPv4Address("10.203.166.11"))
