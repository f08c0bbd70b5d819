"""The phase `domains`: every planned volume known to its registrar, and usable on this node."""

from __future__ import annotations

from firstboot.context import Context
from firstboot.domains.facts import planned
from firstboot.domains.registrar import find
from firstboot.phases import Done, Outcome, Wait


def step(context: Context) -> Outcome:
    """Reach every storage domain active on this node."""
    if not planned(context):
        return Done("no storage domains on this node")
    for plan, domain in planned(context):
        registrar = find(plan.registrar)
        registrar.register(domain, context.report)
        if registrar.look(domain) != "active":
            return Wait(
                f"storage domain {plan.name} is not usable yet: {domain.target} is no living mount",
                f"is volume {plan.volume} started? gluster volume status {plan.volume}",
            )
    return Done(f"{len(context.plan.domains)} storage domain(s) active")
