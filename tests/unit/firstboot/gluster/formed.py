"""Contexts and recorded answers for the tests of the Gluster room; the answers are glusterd 10.3's own."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from firstboot.cluster.names import host_name
from firstboot.context import Context, Member
from firstboot.gluster.client import parse_answer
from firstboot.plan import BrickClass, Mode, Plan, SlotPlan, VolumePlan, VolumeType
from firstboot.seed import Seed, SiteIdentity, SlotCredentials
from tests.unit.firstboot.sites import plan as virt_plan

ANSWERS = Path(__file__).parent / "answers"


def text(name: str) -> str:
    return (ANSWERS / f"{name}.xml").read_text()


def answer(name: str) -> ElementTree.Element:
    return parse_answer("testing", text(name))


def plan(
    slots: int = 3,
    *,
    kind: VolumeType = VolumeType.REPLICATE,
    replica: int = 3,
    count: int = 1,
    zones: tuple[str, ...] = (),
    options: dict[str, str] | None = None,
) -> Plan:
    """A plan with one volume `data` over one brick class."""
    places = tuple(
        SlotPlan(number=n, name=f"node{n}", zone=zones[n - 1] if zones else "") for n in range(1, slots + 1)
    )
    volume = VolumePlan(name="data", type=kind, replica=replica, bricks="ssd", options=options or {})
    return virt_plan(slots).model_copy(
        update={
            "mode": Mode.BOTH,
            "slots": places,
            "bricks": (BrickClass(name="ssd", count=count),),
            "volumes": (volume,),
        }
    )


def members(slots: int = 3, site: str = "lab") -> dict[int, Member]:
    return {
        n: Member(n, f"node{n}", f"{n:032x}", f"10.91.7.{n}", host_name(f"node{n}", site))
        for n in range(1, slots + 1)
    }


def context(slot: int = 1, *, of: Plan | None = None) -> Context:
    """A node whose admission is done; slot 1 founds."""
    made = of or plan()
    seed = Seed(
        site=SiteIdentity(id="5" * 32, name="lab", root_certificate=""),
        slot=SlotCredentials(number=slot, seed_id="6" * 32, certificate="", key=""),
        plan=made,
    )
    found = Context(report=lambda _: None, seed=seed, node_id=f"{slot:032x}")
    found.members, found.founder_slot = members(len(made.slots)), 1
    return found
