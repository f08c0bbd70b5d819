"""Which disks become bricks: a pure decision that fails closed. On any doubt nothing is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from firstboot.disks.inventory import BY_PATH, Disk
from firstboot.disks.records import DiskRecord, DiskRecords
from firstboot.disks.tags import LABEL_NEW, LABEL_READY, Brick, group_tags
from firstboot.plan import BrickClass, DiskRule

GIB = 1024**3


@dataclass(frozen=True)
class Want:
    """A brick class with what this machine needs of it; `rule` has the seed's override applied."""

    brick_class: BrickClass
    rule: DiskRule
    site: str
    slot: int
    volumes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.brick_class.name

    def bricks(self, index: int) -> tuple[Brick, ...]:
        """The bricks on this class's disk of that index."""
        return tuple(Brick(self.site, self.slot, volume, index) for volume in self.volumes)


@dataclass(frozen=True)
class Placement:
    """A disk for the bricks of one class and index. `fresh`: blank; looked at again before it is written."""

    want: Want
    index: int
    disk: Disk
    fresh: bool


@dataclass(frozen=True)
class Chosen:
    """Every brick disk of this machine."""

    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class Refused:
    """Going on could harm something, or it is not clear what is meant."""

    reason: str
    hint: str


@dataclass(frozen=True)
class Missing:
    """Too few disks; one that is attached later would do."""

    reason: str
    hint: str


Decision = Chosen | Refused | Missing


def choose(wants: tuple[Want, ...], disks: tuple[Disk, ...], records: DiskRecords) -> Decision:
    """Decide for all classes together: a disk that fits two of them is never guessed about."""
    placements: list[Placement] = []
    missing: Missing | None = None
    open_eligible: dict[str, list[str]] = {}
    for want in wants:
        kept = _keep(want, disks, records)
        if not isinstance(kept, dict):
            return kept
        need = [i for i in range(want.brick_class.count) if i not in kept]
        taken = {p.disk.path for p in kept.values()}
        fit = [d for d in disks if d.path not in taken and not mismatch(want.rule, d) and not obstacles(d)]
        placements += kept.values()
        if not need:
            continue
        for disk in fit:
            open_eligible.setdefault(disk.path, []).append(want.name)
        if len(fit) > len(need):
            return _ambiguous(want, fit, len(need))
        if len(fit) < len(need):
            short = _too_few(want, disks, taken, len(need))
            if isinstance(short, Refused):
                return short
            missing = missing or short
        placements += [Placement(want, i, d, fresh=True) for i, d in zip(need, fit, strict=False)]
    for path, names in open_eligible.items():
        if len(names) > 1:
            return Refused(
                f"{path} matches the brick classes {' and '.join(names)}",
                "make their rules exclude each other in the profile, or name the disks in the seed's overrides",
            )
    return missing or Chosen(tuple(sorted(placements, key=lambda p: (p.want.name, p.index))))


def mismatch(rule: DiskRule, disk: Disk) -> tuple[str, ...]:
    """Why the rule does not mean this disk; empty when it does."""
    reasons: list[str] = []
    if disk.size_bytes < rule.min_size_bytes:
        reasons.append(f"smaller than {rule.min_size_bytes / GIB:g} GiB")
    if rule.max_size_bytes is not None and disk.size_bytes > rule.max_size_bytes:
        reasons.append(f"larger than {rule.max_size_bytes / GIB:g} GiB")
    if rule.rotational is not None and disk.rotational != rule.rotational:
        reasons.append("rotational" if disk.rotational else "not rotational")
    if rule.bus is not None and disk.bus != rule.bus:
        reasons.append(f"on bus {disk.bus or 'unknown'}, not {rule.bus}")
    for word, pattern, value in (
        ("model", rule.model, disk.model),
        ("serial", rule.serial, disk.serial),
        ("WWN", rule.wwn, disk.wwn),
    ):
        if pattern is not None and not fnmatchcase(value or "", pattern):
            reasons.append(f"{word} {value or 'unknown'} is not {pattern}")
    if rule.path is not None:
        if not any(fnmatchcase(path, rule.path) for path in (disk.path, *disk.links)):
            reasons.append(f"not {rule.path}")
    elif disk.bus in {None, "loop"}:
        reasons.append("a loop device or of an unknown kind, which a rule must name by path")
    elif disk.removable and rule.bus != "usb":
        reasons.append("removable, which a rule must name by path or by bus usb")
    return tuple(reasons)


def obstacles(disk: Disk) -> tuple[str, ...]:
    """Why this disk must never be written to, whatever the rule; empty for a blank, unused disk."""
    if disk.is_boot:
        return ("the system disk",)
    if disk.is_seed:
        return ("the seed medium",)
    reasons = ["read-only"] if disk.read_only else []
    reasons += disk.uses
    reasons += [f"has content: {content.text}" for content in disk.content]
    if disk.lvm is not None and not disk.content:
        reasons.append(f"has content: LVM group {disk.lvm.group or 'none'}")
    return tuple(reasons)


def own_index(want: Want, disk: Disk) -> int | None:
    """Which of the class's disks this one says to be, by its XFS UUID or its LVM tags; None for any other."""
    if disk.is_boot or disk.is_seed:
        return None
    for index in range(want.brick_class.count):
        if want.brick_class.layout == "plain":
            marks = {brick.xfs_uuid for brick in want.bricks(index)}
            if disk.xfs and disk.xfs.uuid in marks and disk.xfs.label in {LABEL_NEW, LABEL_READY}:
                return index
        elif disk.lvm and set(group_tags(want.site, want.slot, want.name, index)) <= set(disk.lvm.tags):
            return index
    return None


def resumable(disk: Disk) -> bool:
    """Whether all that is on a disk can be what an interrupted preparation leaves before its marks are there."""
    orphan = disk.lvm is not None and not disk.lvm.group
    allowed = {"data", "LVM2_member"} if orphan else {"data"}
    safe = not (disk.is_boot or disk.is_seed or disk.read_only or disk.uses)
    return safe and all(content.kind in allowed for content in disk.content)


def _keep(want: Want, disks: tuple[Disk, ...], records: DiskRecords) -> dict[int, Placement] | Refused | Missing:
    """The disks that are this class's already, marked or remembered, by index."""
    kept: dict[int, Placement] = {}
    for disk in disks:
        index = own_index(want, disk)
        if index is None:
            continue
        if index in kept:
            return Refused(
                f"{kept[index].disk.path} and {disk.path} both say to be disk {index} of brick class {want.name}: "
                "one is a copy",
                "take the copy out of this machine",
            )
        kept[index] = Placement(want, index, disk, fresh=False)
    for index in range(want.brick_class.count):
        record = records.get(want.name, index)
        if index in kept or record is None:
            continue
        found = [d for d in disks if d.identity == record.identity and d.size_bytes == record.size_bytes]
        if record.ready:
            return Missing(
                f"disk {index} of brick class {want.name} is missing or lost its marks ({record.identity})",
                "attach it again; a new disk in its place is a replacement, which an operator asks for",
            )
        if len(found) != 1 or not resumable(found[0]):
            continue
        begun = _begun(want, record, found[0])
        if isinstance(begun, Refused):
            return begun
        if begun is not None:
            kept[index] = begun
    return kept


def _begun(want: Want, record: DiskRecord, disk: Disk) -> Placement | Refused | None:
    """A remembered disk without our marks: gone on with when it is sure to be that one, or blank."""
    if not record.identity.startswith(BY_PATH):
        return Placement(want, record.index, disk, fresh=False)
    if mismatch(want.rule, disk):
        return None
    if blocks := obstacles(disk):
        return Refused(
            f"{disk.describe()} was begun as a disk of brick class {want.name}, but without serial and WWN it can't "
            f"be told from another that has its path now: {'; '.join(blocks)}",
            "if nothing on it is needed, erase it by hand (wipefs --all, blkdiscard), then this goes on",
        )
    return Placement(want, record.index, disk, fresh=True)


def _ambiguous(want: Want, fit: Iterable[Disk], need: int) -> Refused:
    names = ", ".join(disk.describe() for disk in fit)
    return Refused(
        f"brick class {want.name} wants {need} more disk(s), and more than that match: {names}",
        "narrow the rule in the profile (size, serial, path), or name this machine's disk in the seed's overrides",
    )


def _too_few(want: Want, disks: tuple[Disk, ...], taken: set[str], need: int) -> Refused | Missing:
    seen: list[str] = []
    blocked: list[str] = []
    for disk in disks:
        if disk.path in taken:
            continue
        wrong, blocks = mismatch(want.rule, disk), obstacles(disk)
        # That the system's own disk is no brick is nothing that anybody has to act on.
        if not wrong and blocks and not (disk.is_boot or disk.is_seed):
            blocked.append(f"{disk.describe()}: {'; '.join(blocks)}")
        if wrong or blocks:
            seen.append(f"{disk.describe()}: {'; '.join(wrong or blocks)}")
    if blocked:
        return Refused(
            f"brick class {want.name} matches a disk that must not be written to: {' | '.join(blocked)}",
            "if nothing on it is needed, erase it by hand (wipefs --all, blkdiscard), or narrow the rule",
        )
    listing = " | ".join(seen) or "none at all"
    return Missing(
        f"brick class {want.name} lacks {need} disk(s); disks seen: {listing}",
        "attach a disk that matches, or change the rule in the profile",
    )
