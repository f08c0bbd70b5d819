"""A small valid site in memory: its root, its plan and seeds of its slots."""

from __future__ import annotations

from builder.site.root import SiteRoot, create_root, new_seed_id
from firstboot.plan import (
    Access,
    BrickClass,
    DomainPlan,
    ImagePlan,
    Mode,
    NetworkPlan,
    Plan,
    SlotPlan,
    VolumePlan,
    VolumeType,
)
from firstboot.seed import Overrides, Seed, SiteIdentity, SlotCredentials


def small_plan() -> Plan:
    return Plan(
        name="trio",
        mode=Mode.BOTH,
        image=ImagePlan(),
        slots=tuple(SlotPlan(number=n, name=f"node{n}") for n in (1, 2, 3)),
        network=NetworkPlan(),
        bricks=(BrickClass(name="data"),),
        volumes=(VolumePlan(name="vmstore", type=VolumeType.REPLICATE, replica=3, bricks="data"),),
        domains=(DomainPlan(name="vmstore", volume="vmstore"),),
        access=Access(),
    )


def small_seed(
    root: SiteRoot | None = None, *, number: int = 1, plan: Plan | None = None, overrides: Overrides | None = None
) -> Seed:
    root = root or create_root("trio")
    seed_id = new_seed_id()
    issued = root.issue_slot(number, seed_id)
    return Seed(
        site=SiteIdentity(id=root.site_id, name="trio", root_certificate=root.certificate_pem),
        slot=SlotCredentials(number=number, seed_id=seed_id, certificate=issued.certificate, key=issued.key),
        plan=plan or small_plan(),
        overrides=overrides or Overrides(),
    )
