"""The plan's storage domains on this node, as their registrars see them."""

from __future__ import annotations

from firstboot.context import Context
from firstboot.domains.registrar import Domain, find
from firstboot.paths import DOMAINS
from firstboot.plan import DomainPlan
from firstboot.services import is_active
from firstboot.status import DomainStatus


def planned(context: Context) -> tuple[tuple[DomainPlan, Domain], ...]:
    """Each planned domain, with what its registrar needs; none in mode gluster, which has no libvirt."""
    if context.seed is None or not (context.plan.mode.has_virt and context.plan.mode.has_gluster):
        return ()
    own = context.slot.number
    # This node first: its own glusterd is the one that is surely there when this node is.
    order = sorted(context.members.values(), key=lambda member: (member.slot != own, member.slot))
    hosts = tuple(member.host_name for member in order)
    return tuple((d, Domain(d.name, d.volume, DOMAINS / d.name, hosts)) for d in context.plan.domains)


def domains(context: Context) -> tuple[DomainStatus, ...]:
    """Every planned domain's state on this node; missing while no libvirtd runs."""
    found = []
    for plan, domain in planned(context):
        state = find(plan.registrar).look(domain) if is_active("libvirtd") else "missing"
        found.append(DomainStatus(name=plan.name, registrar=plan.registrar, volume=plan.volume, state=state))
    return tuple(found)
