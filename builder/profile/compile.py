"""From a checked profile to the complete plan: every short form written out, every default filled in."""

from __future__ import annotations

from builder.profile.compile_network import compile_network, management_address, storage_address
from builder.profile.model import Bricks, Profile, Rule, Slot, Volume
from firstboot import plan
from firstboot.disks.lvm import metadata_bytes
from firstboot.plan import GIB, Plan, VolumeType

DEFAULT_MIN_SIZE = 8 * GIB
LABEL_BYTES = 64 * 1024**2
"""LVM's labels and the rounding to extents, generously."""


def compile_plan(profile: Profile) -> Plan:
    """The plan of a profile that `load_profile` has checked."""
    return Plan(
        name=profile.name,
        mode=profile.mode,
        image=plan.ImagePlan(
            release=profile.image.release,
            elements=profile.image.elements,
            packages=profile.image.packages,
            formats=profile.image.formats,
            root_size_bytes=profile.image.root_size,
        ),
        slots=tuple(_slot(profile, index) for index in range(len(profile.slots))),
        network=compile_network(profile.network),
        bricks=tuple(_bricks(profile, bricks) for bricks in profile.bricks),
        volumes=tuple(_volume(profile, volume) for volume in profile.volumes),
        domains=tuple(
            plan.DomainPlan(name=domain.name, volume=domain.volume or domain.name, registrar=domain.registrar)
            for domain in profile.domains
        ),
        access=plan.Access(
            ssh_keys=tuple(key.strip() for key in profile.access.ssh_keys),
            console_password_hash=profile.access.console_password_hash,
        ),
    )


def slot_name(number: int, slot: Slot) -> str:
    """A slot's name: the written one, or node1, node2 and so on."""
    return slot.name or f"node{number}"


def brick_class_of(profile: Profile, volume: Volume) -> str | None:
    """The brick class of a volume: the written one, or the only one; None when that is not decided."""
    if volume.bricks is not None:
        return volume.bricks
    return profile.bricks[0].name if len(profile.bricks) == 1 else None


def replica_of(volume: Volume) -> int:
    """Copies of a volume: as written, or what its type has."""
    if volume.replica is not None:
        return volume.replica
    return 1 if volume.type is VolumeType.DISTRIBUTE else 3


def needed_bytes(profile: Profile, bricks: Bricks) -> int:
    """How large a disk of the class must be for the volumes whose size is given, in whole GiB; 0 when none is.

    Besides the bricks a disk holds the thin_pool's metadata, and as much again as its spare (lvmthin(7)).
    """
    sizes = [
        volume.size for volume in profile.volumes if volume.size and brick_class_of(profile, volume) == bricks.name
    ]
    if not sizes:
        return 0
    size = sum(sizes)
    while (left := size - 2 * metadata_bytes(size) - LABEL_BYTES) < sum(sizes):
        size += sum(sizes) - left
    return -(-size // GIB) * GIB


def compile_rule(rule: Rule, *, default_min_bytes: int) -> plan.DiskRule:
    """The plan's form of a disk rule."""
    return plan.DiskRule(
        min_size_bytes=default_min_bytes if rule.min_size is None else rule.min_size,
        max_size_bytes=rule.max_size,
        rotational=rule.rotational,
        bus=rule.bus,
        model=rule.model,
        serial=rule.serial,
        wwn=rule.wwn,
        path=rule.path,
    )


def _slot(profile: Profile, index: int) -> plan.SlotPlan:
    slot = profile.slots[index]
    return plan.SlotPlan(
        number=index + 1,
        name=slot_name(index + 1, slot),
        zone=slot.zone or "",
        match=plan.Match(mac=slot.match.mac, serial=slot.match.serial),
        address=management_address(profile, index),
        storage_address=storage_address(profile, index),
    )


def _bricks(profile: Profile, bricks: Bricks) -> plan.BrickClass:
    rule = bricks.rule
    default_min = min(max(DEFAULT_MIN_SIZE, needed_bytes(profile, bricks)), rule.max_size or 2**63)
    return plan.BrickClass(
        name=bricks.name,
        rule=compile_rule(rule, default_min_bytes=default_min),
        count=bricks.count,
        layout=bricks.layout,
    )


def _volume(profile: Profile, volume: Volume) -> plan.VolumePlan:
    bricks = brick_class_of(profile, volume)
    assert bricks is not None, "checks let no volume without a brick class pass"
    return plan.VolumePlan(
        name=volume.name,
        type=volume.type,
        replica=replica_of(volume),
        bricks=bricks,
        size_bytes=volume.size,
        group=volume.group,
        options=dict(volume.options),
    )
