"""Sites for namespaced nodes: real site folders and seeds, with small loop disks named in each seed's overrides."""

from __future__ import annotations

from pathlib import Path

from builder.site.folder import Site, create_site
from builder.site.slots import issue_seed
from firstboot.plan import (
    GIB,
    Access,
    BrickClass,
    DiskRule,
    DomainPlan,
    ImagePlan,
    Mode,
    NetworkPlan,
    Plan,
    SlotPlan,
    VolumePlan,
    VolumeType,
)
from firstboot.seed import Overrides, Seed
from tests.netns.agents import Agent
from tests.netns.namespaces import Lab

DISK_BYTES = GIB
BRICKS = "bricks"
VOLUME = "data"
DOMAIN = "images"


def make_plan(slots: int) -> Plan:
    """One volume over one plain brick a node, and one storage domain on it."""
    single = slots == 1
    volume = VolumePlan(
        name=VOLUME,
        type=VolumeType.DISTRIBUTE if single else VolumeType.REPLICATE,
        replica=1 if single else slots,
        bricks=BRICKS,
        options={"network.ping-timeout": "11"},
    )
    return Plan(
        name="netns",
        mode=Mode.BOTH,
        image=ImagePlan(),
        slots=tuple(SlotPlan(number=n, name=f"node{n}") for n in range(1, slots + 1)),
        network=NetworkPlan(),
        bricks=(BrickClass(name=BRICKS, layout="plain"),),
        volumes=(volume,),
        domains=(DomainPlan(name=DOMAIN, volume=VOLUME),),
        access=Access(),
    )


def make_site(folder: Path, slots: int, name: str = "lab") -> Site:
    """A site folder below `folder`."""
    return create_site(folder / name, name, make_plan(slots))


def make_seed(site: Site, slot: int, disk_path: str) -> Seed:
    """The seed of a slot; `disk_path` (a glob) says which of the machine's disks may be taken."""
    rule = DiskRule(path=disk_path, min_size_bytes=DISK_BYTES // 2)
    return issue_seed(site, slot, written_to="a namespaced node", overrides=Overrides(disks={BRICKS: rule}))


def with_disks(machines: Lab, site: Site, slots: int) -> list[Agent]:
    """That many machines with a blank disk and their slot's seed each, from slot 1 on; no agent runs yet."""
    agents = []
    for number in range(1, slots + 1):
        node = machines.add_node(f"machine{number}", disks=(DISK_BYTES,))
        agents.append(Agent(node, make_seed(site, number, node.disks[0].device)))
    return agents
