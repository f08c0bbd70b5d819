"""The phases `pool` and `volumes`; nothing to do on a node that has no Gluster."""

from __future__ import annotations

from firstboot.context import Context
from firstboot.gluster import pool as trusted_pool
from firstboot.gluster import removal
from firstboot.gluster import volumes as gluster_volumes
from firstboot.phases import Done, Outcome, Wait


def pool(context: Context) -> Outcome:
    """Start glusterd and reach the trusted storage pool of all members."""
    if not context.plan.mode.has_gluster:
        return Done("no Gluster in this mode")
    return trusted_pool.form(context)


def volumes(context: Context) -> Outcome:
    """Reach the plan's volumes, started, with every brick online."""
    if not context.plan.mode.has_gluster:
        return Done("no Gluster in this mode")
    outcome = gluster_volumes.form(context) if context.plan.volumes else Done("no volumes planned")
    detaching = removal.detach(context)
    return outcome if isinstance(outcome, Wait) else detaching or outcome
