"""Machines for the network's tests: links as `ip -json -details address show` lists them."""

from __future__ import annotations

import json
from ipaddress import IPv4Interface
from typing import Any

from firstboot.network.facts import Link, parse_links
from firstboot.network.wanted import Wanted, want
from firstboot.plan import GuestBridge, NetworkPlan, SlotPlan
from firstboot.seed import Overrides

SLOT = SlotPlan(
    number=1,
    name="node1",
    address=IPv4Interface("192.0.2.1/24"),
    storage_address=IPv4Interface("198.51.100.1/24"),
)
LOOPBACK = {"ifindex": 1, "ifname": "lo", "link_type": "loopback", "address": "00:00:00:00:00:00"}
BRIDGE = NetworkPlan(guest_bridge=GuestBridge())


def mac(index: int) -> str:
    return f"52:54:00:00:00:{index:02x}"


def nic(
    index: int, name: str, *addresses: str, kind: str | None = None, up: bool = True, **more: Any
) -> dict[str, object]:
    """One link; its MAC ends with its index."""
    info = [
        {
            "family": "inet6" if ":" in a else "inet",
            "local": a.partition("/")[0],
            "prefixlen": int(a.partition("/")[2]),
            "scope": "link" if a.startswith(("fe80", "169.254")) else "global",
        }
        for a in addresses
    ]
    link: dict[str, object] = {
        "ifindex": index,
        "ifname": name,
        "link_type": "ether",
        "address": mac(index),
        "flags": ["BROADCAST", "UP", *(["LOWER_UP"] if up else [])],
        "addr_info": info,
    }
    return link | ({"linkinfo": {"info_kind": kind}} if kind else {}) | more


def member(index: int, name: str, bond: str, *, up: bool = True, of: int, aggregator: int = 1) -> dict[str, object]:
    """A card in a bond, as iproute2 shows it: all members have the MAC of card `of`."""
    data = {"state": "ACTIVE", "mii_status": "UP" if up else "DOWN", "ad_aggregator_id": aggregator}
    raw = nic(index, name, up=up, master=bond, linkinfo={"info_slave_kind": "bond", "info_slave_data": data})
    return raw | {"address": mac(of), **({"permaddr": mac(index)} if of != index else {})}


def links(*raw: dict[str, object]) -> tuple[Link, ...]:
    return parse_links(json.dumps([LOOPBACK, *raw]))


def wanted_on(plan: NetworkPlan, *raw: dict[str, object], overrides: Overrides | None = None) -> Wanted:
    """What slot 1 wants on a machine with these links."""
    return want(plan, SLOT, overrides or Overrides(), links(*raw))
