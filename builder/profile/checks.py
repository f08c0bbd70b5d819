"""The list of checks between the parts of a profile: what each needs, and running those that can run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from builder.profile import check_access, check_addresses, check_links, check_network, check_slots, check_storage
from builder.profile.model import Profile
from builder.profile.problems import Problem

CheckFunction = Callable[[Profile], Iterable[Problem]]


@dataclass(frozen=True)
class Check:
    """A check, and the sections that it compares: it is left out when one of them is wrong by itself."""

    sections: tuple[str, ...]
    find: CheckFunction


CHECKS: Sequence[Check] = (
    Check(("image",), check_access.image),
    Check(("access",), check_access.ssh_keys),
    Check(("access",), check_access.console_hash),
    Check(("slots",), check_slots.names),
    Check(("slots",), check_slots.machines),
    Check(("slots",), check_slots.zones),
    Check(("slots", "network"), check_addresses.addresses),
    Check(("slots", "network"), check_addresses.gateway),
    Check(("slots", "network"), check_links.interfaces),
    Check(("network",), check_links.bonds),
    Check(("mode", "network"), check_links.bridges),
    Check(("network",), check_links.link_names),
    Check(("network",), check_links.sharing),
    Check(("network",), check_links.mtus),
    Check(("network",), check_network.services),
    Check(("mode", "bricks", "volumes", "domains"), check_storage.mode),
    Check(("bricks",), check_storage.brick_names),
    Check(("bricks", "slots"), check_storage.rules),
    Check(("bricks",), check_storage.overlaps),
    Check(("bricks", "volumes"), check_storage.classes),
    Check(("bricks", "volumes"), check_storage.sizes),
    Check(("volumes",), check_storage.volume_names),
    Check(("volumes",), check_storage.copies),
    Check(("slots", "volumes"), check_storage.spread),
    Check(("volumes",), check_storage.options),
    Check(("volumes", "domains"), check_storage.domains),
)


def run_checks(profile: Profile, *, broken: frozenset[str]) -> list[Problem]:
    """Every problem between the sections that are not `broken`."""
    return [problem for check in CHECKS if not broken.intersection(check.sections) for problem in check.find(profile)]
