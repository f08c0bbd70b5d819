"""Checks of storage: mode, brick classes, volumes, domains, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch

from builder.profile.check_slots import repeated
from builder.profile.compile import DEFAULT_MIN_SIZE, brick_class_of, needed_bytes, replica_of
from builder.profile.model import Bricks, Profile, Rule, Volume
from builder.profile.problems import Place, Problem, allowed_of
from builder.profile.scalars import format_size
from firstboot.plan import GIB, Mode, VolumeType

RESERVED_VOLUMES = frozenset({"all"})
"""Words that `gluster volume` takes for something else."""

MIN_BRICK = GIB // 4

GLOB = frozenset("*?[")

AGENT_OPTIONS = ("auth.", "client.ssl", "server.ssl", "ssl.", "transport.", "config.transport", "group")
"""Options that the node agent sets, or that would open a volume to strangers."""

GLOBAL_OPTIONS = ("cluster.server-quorum-ratio", "cluster.enable-shared-storage", "cluster.brick-multiplex")
"""Options of the whole pool: one volume's list is not their place."""

UNSAFE_VALUES: dict[str, tuple[frozenset[str], str]] = {
    "cluster.quorum-type": (frozenset({"none", "fixed"}), "copies could diverge (split brain)"),
    "cluster.server-quorum-type": (frozenset({"none"}), "copies could diverge (split brain)"),
    "cluster.self-heal-daemon": (frozenset({"off", "no", "false", "disable", "0"}), "bricks would never heal"),
    "nfs.disable": (frozenset({"off", "no", "false", "disable", "0"}), "it opens an NFS server without access rules"),
    "network.ping-timeout": (frozenset({"0"}), "a dead node would never be noticed"),
}

SHARDING = ("features.shard", "features.shard-block-size")


def mode(profile: Profile) -> Iterator[Problem]:
    """What a mode has not may not be asked for, and what it is for must be."""
    if profile.mode is Mode.VIRT:
        for section in ("bricks", "volumes", "domains"):
            if getattr(profile, section):
                yield Problem(
                    (section,), f"is given, but mode virt has no {section}", "leave it out, or use mode: both"
                )
        return
    if not profile.bricks:
        hint = "give a brick class" + (", or use mode: virt" if profile.mode is Mode.BOTH else "")
        yield Problem(("bricks",), f"is missing: mode {profile.mode} keeps data on brick disks", hint)
    if profile.mode is Mode.GLUSTER:
        for index, domain in enumerate(profile.domains):
            yield Problem(
                ("domains", index),
                f"registrar {domain.registrar} needs libvirt on the nodes, which mode gluster has not",
                "leave it out, or use mode: both",
            )


def brick_names(profile: Profile) -> Iterator[Problem]:
    """Brick classes have distinct names."""
    named = [(_place("bricks", index, "name"), bricks.name) for index, bricks in enumerate(profile.bricks)]
    for place, name, first in repeated(named):
        yield Problem(place, f"brick class {name} is there twice", f"the other is bricks[{first[1]}]")


def rules(profile: Profile) -> Iterator[Problem]:
    """A rule can be met by as many disks as are wanted, on every node."""
    for index, bricks in enumerate(profile.bricks):
        rule, place = bricks.rule, _place("bricks", index, "rule")
        smallest = DEFAULT_MIN_SIZE if rule.min_size is None else rule.min_size
        if rule.max_size is not None and rule.min_size is not None and rule.max_size < smallest:
            yield Problem(
                (*place, "max_size"), f"{format_size(rule.max_size)} is below min_size, {format_size(smallest)}"
            )
        if rule.path is not None and not rule.path.startswith("/dev/"):
            yield Problem((*place, "path"), f"{rule.path} is no device", "such as /dev/disk/by-path/*-nvme-1")
        for key in ("serial", "wwn", "path"):
            text: str | None = getattr(rule, key)
            if text is None or GLOB & set(text):
                continue
            if bricks.count > 1:
                yield Problem(
                    (*place, key), f"names one disk, but count is {bricks.count}", "a glob such as *, or count: 1"
                )
            elif key != "path" and len(profile.slots) > 1:
                yield Problem(
                    (*place, key),
                    f"names one disk, but {len(profile.slots)} nodes each need one",
                    "a glob, another property, or an override in each seed",
                )


def overlaps(profile: Profile) -> Iterator[Problem]:
    """No disk may fit two classes: the node would have to guess."""
    for index, bricks in enumerate(profile.bricks):
        for other_index, other in enumerate(profile.bricks[:index]):
            if bricks.name != other.name and not disjoint(bricks.rule, other.rule):
                yield Problem(
                    _place("bricks", index),
                    f"a disk could match {bricks.name} and {other.name} (bricks[{other_index}])",
                    "make the rules exclude each other: by size, rotational, bus, model or path",
                )


def disjoint(one: Rule, two: Rule) -> bool:
    """Whether no disk can match both rules, as far as that can be told from the rules."""
    for key in ("rotational", "bus"):
        mine, theirs = getattr(one, key), getattr(two, key)
        if mine is not None and theirs is not None and mine != theirs:
            return True
    if {one.bus, two.bus} & {"nvme"} and True in (one.rotational, two.rotational):
        return True
    for key in ("model", "serial", "wwn", "path"):
        mine, theirs = getattr(one, key), getattr(two, key)
        if mine is not None and theirs is not None and not _globs_meet(mine, theirs):
            return True
    return _below(one, two) or _below(two, one)


def _below(one: Rule, two: Rule) -> bool:
    smallest = DEFAULT_MIN_SIZE if two.min_size is None else two.min_size
    return one.max_size is not None and one.max_size < smallest


def _globs_meet(one: str, two: str) -> bool:
    """Whether a text may match both globs; two globs that differ are judged by their fixed beginnings."""
    if not GLOB & set(one):
        return fnmatch(one, two)
    if not GLOB & set(two):
        return fnmatch(two, one)
    heads = [text[: min((text.index(sign) for sign in GLOB if sign in text), default=0)] for text in (one, two)]
    return heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])


def classes(profile: Profile) -> Iterator[Problem]:
    """Every volume has a brick class that is there, every class a volume; layout plain has just one."""
    known = list(dict.fromkeys(bricks.name for bricks in profile.bricks))
    decided = all(brick_class_of(profile, volume) in known for volume in profile.volumes)
    users: dict[str, list[int]] = {name: [] for name in known}
    for index, volume in enumerate(profile.volumes):
        name = brick_class_of(profile, volume)
        if name in users:
            users[name].append(index)
        elif name is not None and known:
            allowed = allowed_of(name, known, what="brick classes are")
            yield Problem(_place("volumes", index, "bricks"), f"there is no brick class {name}", allowed)
        elif known:
            yield Problem(_place("volumes", index, "bricks"), "is missing", f"brick classes are: {', '.join(known)}")
    for index, bricks in enumerate(profile.bricks):
        if decided and not users[bricks.name]:
            yield Problem(_place("bricks", index), f"no volume uses brick class {bricks.name}", "leave it out")
        if bricks.layout == "plain" and len(users[bricks.name]) > 1:
            using = ", ".join(profile.volumes[user].name for user in users[bricks.name])
            yield Problem(
                _place("bricks", index, "layout"),
                f"plain has room for one volume, but {using} use it",
                "layout: thin",
            )


def sizes(profile: Profile) -> Iterator[Problem]:
    """Volumes of a class all have sizes or none has; they fit on the smallest disk that the rule takes."""
    for index, volume in enumerate(profile.volumes):
        if volume.size is not None and volume.size < MIN_BRICK:
            place = _place("volumes", index, "size")
            yield Problem(place, f"{format_size(volume.size)} is too small", f"at least {format_size(MIN_BRICK)}")
    for index, bricks in enumerate(profile.bricks):
        users = [
            (at, volume)
            for at, volume in enumerate(profile.volumes)
            if brick_class_of(profile, volume) == bricks.name
        ]
        sized = [(at, volume) for at, volume in users if volume.size is not None]
        if bricks.layout == "plain":
            for at, _ in sized:
                yield Problem(
                    _place("volumes", at, "size"), "layout plain gives a volume the whole disk", "leave it out"
                )
            continue
        if sized and len(sized) < len(users):
            for at, volume in users:
                if volume.size is None:
                    others = "others on the same disks have one"
                    yield Problem(_place("volumes", at), f"{volume.name} has no size, but {others}", "all or none")
        yield from _room(profile, index, bricks)


def _room(profile: Profile, index: int, bricks: Bricks) -> Iterator[Problem]:
    needed = needed_bytes(profile, bricks)
    for key in ("min_size", "max_size"):
        size: int | None = getattr(bricks.rule, key)
        if size is not None and needed > size:
            yield Problem(
                _place("bricks", index, "rule", key),
                f"volumes on class {bricks.name} need disks of {format_size(needed)} (with LVM's metadata), "
                f"but this is {format_size(size)}",
                "larger disks or smaller volumes",
            )
            return


def volume_names(profile: Profile) -> Iterator[Problem]:
    """Volumes have distinct names that the gluster command does not take for something else."""
    named = [(_place("volumes", index, "name"), volume.name) for index, volume in enumerate(profile.volumes)]
    for place, name, first in repeated(named):
        yield Problem(place, f"volume {name} is there twice", f"the other is volumes[{first[1]}]")
    for place, name in named:
        if name in RESERVED_VOLUMES:
            yield Problem(place, f"{name} is a word of the gluster command", "choose another name")


def copies(profile: Profile) -> Iterator[Problem]:
    """Each type has one safe number of copies."""
    for index, volume in enumerate(profile.volumes):
        place = _place("volumes", index, "replica")
        replica = replica_of(volume)
        match volume.type:
            case VolumeType.ARBITER if replica != 3:
                yield Problem(place, f"is {replica}, but arbiter needs 3: two copies and the arbiter", "replica: 3")
            case VolumeType.DISTRIBUTE if replica != 1:
                yield Problem(
                    place, f"is {replica}, but distribute keeps one copy", "leave it out, or type: replicate"
                )
            case VolumeType.REPLICATE if replica == 1:
                yield Problem(place, "is 1, which is no copy at all", "type: distribute, or replica: 3")
            case VolumeType.REPLICATE if replica == 2:
                yield Problem(place, "is 2, and two copies can diverge (split brain)", "replica: 3, or type: arbiter")


def spread(profile: Profile) -> Iterator[Problem]:
    """Copies lie on distinct nodes, and every node holds the same."""
    slots = len(profile.slots)
    for index, volume in enumerate(profile.volumes):
        replica = replica_of(volume)
        place = _place("volumes", index, "replica" if volume.replica is not None else "type")
        what = f"{volume.type} with replica {replica}" if volume.replica is None else f"replica {replica}"
        if slots < replica:
            yield Problem(
                place,
                f"{what} needs {replica} slots, but there {'is' if slots == 1 else 'are'} {slots}",
                f"slots: {replica}" + (", or type: distribute" if slots == 1 else ""),
            )
        elif slots % replica:
            lower, upper = slots - slots % replica, slots - slots % replica + replica
            yield Problem(place, f"{slots} slots are not a multiple of {replica}", f"slots: {lower} or {upper}")


def options(profile: Profile) -> Iterator[Problem]:
    """Options can't open a volume, split its copies, or change what is set elsewhere."""
    for index, volume in enumerate(profile.volumes):
        for key, value in volume.options.items():
            place = _place("volumes", index, "options", key)
            if key.startswith(AGENT_OPTIONS):
                yield Problem(place, "is set by the node agent", "leave it out")
            elif key in GLOBAL_OPTIONS:
                yield Problem(place, "is an option of the whole pool, not of a volume", "leave it out")
            else:
                yield from _unsafe(volume, key, value, place)


def _unsafe(volume: Volume, key: str, value: str, place: Place) -> Iterator[Problem]:
    values, reason = UNSAFE_VALUES.get(key, (frozenset[str](), ""))
    if value.lower() in values:
        yield Problem(place, f"{value} is not safe: {reason}", "leave it out")
    if key in SHARDING and volume.group == "virt":
        yield Problem(place, "is set by group virt; changed on a volume with data it destroys them", "leave it out")


def domains(profile: Profile) -> Iterator[Problem]:
    """A domain's volume is there; names, and volumes of one registrar, are used once."""
    known = [volume.name for volume in profile.volumes]
    named = [(_place("domains", index, "name"), domain.name) for index, domain in enumerate(profile.domains)]
    for place, name, first in repeated(named):
        yield Problem(place, f"domain {name} is there twice", f"the other is domains[{first[1]}]")
    used: list[tuple[Place, tuple[str, str]]] = []
    for index, domain in enumerate(profile.domains):
        volume = domain.volume or domain.name
        place = _place("domains", index, "volume")
        if volume not in known:
            yield Problem(place, f"there is no volume {volume}", allowed_of(volume, known, what="volumes are"))
        else:
            used.append((place, (volume, domain.registrar)))
    for place, (volume, registrar), first in repeated(used):
        yield Problem(place, f"volume {volume} is already domains[{first[1]}] of {registrar}", "one domain a volume")


def _place(*parts: str | int) -> Place:
    return parts
