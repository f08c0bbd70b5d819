"""The product's table of contents: what a machine goes through to become a node, in order."""

from __future__ import annotations

from collections.abc import Callable

from firstboot.cluster.membership import Membership
from firstboot.context import Context
from firstboot.identity import Identity
from firstboot.phases import Done, Outcome, Phase
from firstboot.plan import Mode

TITLES = {
    "identity": "find the seed, become its slot",
    "network": "bring up management, storage and guest networks",
    "disks": "choose and prepare the brick disks",
    "discover": "announce this node, look for the others",
    "admit": "admit each other by mutual TLS",
    "found": "agree on who founds the cluster",
    "enrol": "get the cluster authority and a certificate of it",
    "pool": "join the trusted storage pool",
    "volumes": "create, tune and start the volumes",
    "domains": "make the volumes storage domains",
}

AS_MEMBER = ("found", "enrol", "pool", "volumes", "domains")
"""What a node does for its cluster, until that removes it."""

Step = Callable[[Context], Outcome]


def sequence(identity: Identity, membership: Membership) -> tuple[Phase, ...]:
    """The phases of one run of the agent. Rooms that a mode does without are done at once and never imported."""
    steps: dict[str, Step] = {
        "identity": identity.step,
        "network": lambda context: _network(context, membership),
        "disks": _disks,
        "discover": membership.discover,
        "admit": membership.admit,
        "found": membership.found,
        "enrol": membership.enrol,
        "pool": lambda context: membership.before_pool(context) or _pool(context),
        "volumes": _volumes,
        "domains": _domains,
    }
    for name in AS_MEMBER:
        steps[name] = _unless_removed(membership, steps[name])
    return tuple(Phase(name, title, steps[name]) for name, title in TITLES.items())


def _unless_removed(membership: Membership, step: Step) -> Step:
    return lambda context: membership.removed(context) or step(context)


def _network(context: Context, membership: Membership) -> Outcome:
    from firstboot.network import phase

    outcome = phase.step(context)
    if isinstance(outcome, Done):
        membership.announce(context)
    return outcome


def _disks(context: Context) -> Outcome:
    if not context.plan.mode.has_gluster:
        return _not_in(context.plan.mode)
    from firstboot.disks import phase

    return phase.step(context)


def _pool(context: Context) -> Outcome:
    if not context.plan.mode.has_gluster:
        return _not_in(context.plan.mode)
    from firstboot.gluster import phases

    return phases.pool(context)


def _volumes(context: Context) -> Outcome:
    if not context.plan.mode.has_gluster:
        return _not_in(context.plan.mode)
    from firstboot.gluster import phases

    return phases.volumes(context)


def _domains(context: Context) -> Outcome:
    if context.plan.mode is not Mode.BOTH:
        return _not_in(context.plan.mode)
    from firstboot.domains import phase

    return phase.step(context)


def _not_in(mode: Mode) -> Done:
    return Done(f"nothing to do in mode {mode.value}")
