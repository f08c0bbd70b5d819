"""A lab's plan and state for tests."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from builder.lab.probe import Acceleration
from builder.lab.state import LabState
from builder.lab.up import Wish, design
from firstboot.plan import Access, BrickClass, ImagePlan, Mode, NetworkPlan, Plan, SlotPlan


def plan(*, count: int = 3, **changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "name": "lab",
        "mode": Mode.BOTH,
        "image": ImagePlan(),
        "slots": tuple(SlotPlan(number=n, name=f"node{n}") for n in range(1, count + 1)),
        "network": NetworkPlan(),
        "bricks": (BrickClass(name="data"),),
        "volumes": (),
        "domains": (),
        "access": Access(),
    }
    return Plan.model_validate({**fields, **changes})


def wish(**changes: Any) -> Wish:
    fields: dict[str, Any] = {
        "plan": plan(),
        "profile_folder": Path("/p"),
        "image_folder": Path("/b"),
        "site_folder": Path("/s"),
    }
    return Wish(**{**fields, **changes})


def state(name: str = "lab", *, kind: Any = "tcg", used: list[IPv4Network] | None = None, **changes: Any) -> LabState:
    return design(
        name,
        wish(**changes),
        Path("/b/trivet-lab.qcow2"),
        used or [],
        Acceleration(kind, "asked for"),
        "qemu:///system",
        private_daemon=False,
    )
