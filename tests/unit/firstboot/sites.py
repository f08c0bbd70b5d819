"""Sites and seeds for tests, made with the real site root."""

from __future__ import annotations

from builder.site.root import SiteRoot, create_root, new_seed_id
from firstboot.cluster.certificates import new_key
from firstboot.cluster.tls import Credentials
from firstboot.nodekey import NodeKey
from firstboot.plan import Access, ImagePlan, Mode, NetworkPlan, Plan, SlotPlan
from firstboot.seed import Overrides, Seed, SiteIdentity, SlotCredentials


def plan(slots: int = 3, *, network: NetworkPlan | None = None) -> Plan:
    """A site of mode virt: it has neither bricks nor volumes."""
    return Plan(
        name="demo",
        mode=Mode.VIRT,
        image=ImagePlan(),
        slots=tuple(SlotPlan(number=number, name=f"node{number}") for number in range(1, slots + 1)),
        network=network or NetworkPlan(),
        bricks=(),
        volumes=(),
        domains=(),
        access=Access(),
    )


def issue(root: SiteRoot, number: int, slots: int = 3, *, peers: tuple[str, ...] = ()) -> Seed:
    """A fresh seed for one slot."""
    seed_id = new_seed_id()
    credentials = root.issue_slot(number, seed_id)
    return Seed(
        site=SiteIdentity(id=root.site_id, name="demo", root_certificate=root.certificate_pem),
        slot=SlotCredentials(
            number=number, seed_id=seed_id, certificate=credentials.certificate, key=credentials.key
        ),
        plan=plan(slots),
        overrides=Overrides(peers=peers),
    )


def credentials(seed: Seed, key: NodeKey | None = None) -> Credentials:
    """What a node with that seed shows; a node of its own unless a key is given."""
    key = key or NodeKey(new_key())
    return key.credentials(seed, key.claim(seed))


def site(slots: int = 3) -> tuple[SiteRoot, list[Seed]]:
    """A root and a seed for each slot."""
    root = create_root("demo")
    return root, [issue(root, number, slots) for number in range(1, slots + 1)]
