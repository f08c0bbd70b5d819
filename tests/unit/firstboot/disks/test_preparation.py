"""Making bricks: which commands run on a disk, from any point at which it may have been cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from firstboot.disks import mounts, phase, preparation, records
from firstboot.disks.inventory import Content, Disk, XfsMark
from firstboot.disks.preparation import mkfs_command, prepare, wanted_lvs
from firstboot.disks.records import DiskRecords, read_records
from firstboot.disks.selection import Placement
from firstboot.disks.tags import LABEL_NEW, LABEL_READY, Brick, read_tag, write_tag
from firstboot.errors import RefusedError
from firstboot.phases import Done, Wait
from firstboot.plan import GIB, DiskRule
from firstboot.run import CommandError, Completed
from firstboot.seed import Overrides
from tests.unit.firstboot.disks.made import BLANK, SITE, SLOT, blank, own_thin, want
from tests.unit.firstboot.gluster.formed import context, plan

BRICK = Brick(SITE, SLOT, "data", 0)


class FakeMachine:
    """One device: its XFS, and whether it is mounted at the brick's place; commands change them as the real do."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.mark: XfsMark | None = None
        self.foreign = ""
        self.mounted = False
        self.mountable = True
        self.commands: list[str] = []
        self.inventory: tuple[Disk, ...] = (BLANK,)

    def read_xfs(self, device: str) -> tuple[XfsMark | None, tuple[str, ...]]:
        if self.foreign:
            return None, (self.foreign,)
        return self.mark, ("a xfs signature",) if self.mark else ()

    def run(self, argv: Sequence[str | Path], **_: object) -> Completed:
        words = [str(word) for word in argv]
        self.commands.append(" ".join(words))
        if words[0] == "mkfs.xfs":
            self.mark, self.mountable = XfsMark(BRICK.xfs_uuid, words[words.index("-L") + 1]), True
        if words[0] == "xfs_io" and self.mark:
            self.mark = replace(self.mark, label=words[2].rpartition(" ")[2])
        return Completed(tuple(words), 0, "", "", 0.0)

    def mount(self, device: str, brick: Brick) -> Path:
        if not self.mounted:
            self.commands.append(f"mount {device}")
            if not self.mountable:
                raise CommandError(Completed(("mount",), 32, "", "bad superblock", 0.0), "exited with 32")
            self.mounted = True
        return self.place

    @property
    def programs(self) -> list[str]:
        return [command.split()[0] for command in self.commands]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeMachine]:
    place = tmp_path / "mount"
    place.mkdir()
    fake = FakeMachine(place)
    monkeypatch.setattr(preparation, "read_xfs", fake.read_xfs)
    monkeypatch.setattr(preparation, "run", fake.run)
    monkeypatch.setattr(preparation, "mount_device", fake.mount)
    monkeypatch.setattr(preparation, "read_inventory", lambda: fake.inventory)
    path = tmp_path / "disks.json"
    monkeypatch.setattr(preparation, "read_records", lambda: records.read_records(path))
    monkeypatch.setattr(preparation, "write_records", lambda known: records.write_records(known, path))
    yield fake


def go(machine: FakeMachine, *, fresh: bool = True, disk: Disk = BLANK) -> None:
    prepare(Placement(want(), 0, disk, fresh), plan().volumes, lambda line: None)


def test_a_fresh_disk(machine: FakeMachine, tmp_path: Path) -> None:
    go(machine)
    assert machine.commands == [
        f"mkfs.xfs -q -i size=512 -m uuid={BRICK.xfs_uuid} -L trivet-new /dev/vdb",
        "mount /dev/vdb",
        f"xfs_io -c label -s trivet-brick {machine.place}",
    ]
    assert read_tag(machine.place) == BRICK.tag
    (known,) = read_records(tmp_path / "disks.json").disks
    assert (known.identity, known.ready) == (BLANK.identity, True)


def test_done_already(machine: FakeMachine) -> None:
    go(machine)
    machine.commands.clear()
    go(machine, fresh=False)
    assert machine.commands == []


def test_at_the_next_start_it_is_only_mounted(machine: FakeMachine) -> None:
    go(machine)
    machine.commands.clear()
    machine.mounted = False
    go(machine, fresh=False)
    assert machine.commands == ["mount /dev/vdb"]


def test_cut_off_after_the_format(machine: FakeMachine) -> None:
    machine.mark = XfsMark(BRICK.xfs_uuid, LABEL_NEW)
    go(machine, fresh=False)
    assert machine.programs == ["mount", "xfs_io"]


def test_cut_off_after_the_mount(machine: FakeMachine) -> None:
    machine.mark, machine.mounted = XfsMark(BRICK.xfs_uuid, LABEL_NEW), True
    go(machine, fresh=False)
    assert machine.programs == ["xfs_io"]


def test_cut_off_after_the_tag(machine: FakeMachine) -> None:
    machine.mark, machine.mounted = XfsMark(BRICK.xfs_uuid, LABEL_NEW), True
    write_tag(machine.place, BRICK)
    go(machine, fresh=False)
    assert machine.programs == ["xfs_io"]


def test_cut_off_in_the_middle_of_the_format(machine: FakeMachine) -> None:
    machine.mark, machine.mountable = XfsMark(BRICK.xfs_uuid, LABEL_NEW), False
    go(machine, fresh=False)
    assert machine.programs == ["mount", "mkfs.xfs", "mount", "xfs_io"]
    assert machine.commands[1] == " ".join(mkfs_command("/dev/vdb", BRICK, again=True))


def test_a_ready_brick_that_does_not_mount_is_never_formatted(machine: FakeMachine) -> None:
    machine.mark, machine.mountable = XfsMark(BRICK.xfs_uuid, LABEL_READY), False
    with pytest.raises(CommandError):
        go(machine, fresh=False)
    assert machine.programs == ["mount"]


@pytest.mark.parametrize("left", [None, XfsMark(BRICK.xfs_uuid, LABEL_NEW), XfsMark(SITE, "data")])
def test_a_finished_brick_that_lost_its_marks_is_never_formatted(machine: FakeMachine, left: XfsMark | None) -> None:
    go(machine)
    machine.commands.clear()
    machine.mark, machine.mounted = left, False
    with pytest.raises(RefusedError, match="does not look like it any more"):
        go(machine, fresh=False)
    assert machine.commands == []


def test_a_ready_brick_without_its_tag_is_refused(machine: FakeMachine) -> None:
    machine.mark = XfsMark(BRICK.xfs_uuid, LABEL_READY)
    with pytest.raises(RefusedError, match="carries no tag file"):
        go(machine, fresh=False)


@pytest.mark.parametrize("mark", [XfsMark("other", LABEL_NEW), XfsMark(BRICK.xfs_uuid, "mine")])
def test_a_file_system_of_anybody_else_is_refused(machine: FakeMachine, mark: XfsMark) -> None:
    machine.mark = mark
    with pytest.raises(RefusedError, match="/dev/vdb should hold a brick of volume data, but has"):
        go(machine, fresh=False)
    assert machine.commands == []


@pytest.mark.parametrize(
    "now",
    [
        (),
        (replace(BLANK, content=(Content("ext4", "a ext4 signature"),)),),
        (replace(BLANK, serial="another"),),
        (replace(BLANK, uses=("mounted at /srv",)),),
    ],
)
def test_a_disk_that_changed_since_the_choice_is_not_written(
    machine: FakeMachine, tmp_path: Path, now: tuple[Disk, ...]
) -> None:
    machine.inventory = now
    with pytest.raises(RefusedError, match="changed between the choice and the first write"):
        go(machine)
    assert machine.commands == []
    assert read_records(tmp_path / "disks.json") == DiskRecords()


def test_only_a_format_that_is_done_again_is_forced() -> None:
    assert "-f" not in mkfs_command("/dev/vdb", BRICK, again=False)
    assert "-f" in mkfs_command("/dev/vdb", BRICK, again=True)


def test_what_lvm_should_hold() -> None:
    volumes = tuple(plan().volumes[0].model_copy(update={"name": n, "size_bytes": s}) for n, s in SIZES)
    wanted = wanted_lvs(Placement(want(layout="thin", volumes=("a", "b")), 1, BLANK, True), volumes)
    assert (wanted.device, wanted.group) == ("/dev/vdb", "trivet-one")
    assert wanted.tags == (f"trivet.site={SITE}", "trivet.slot=2", "trivet.class=ssd", "trivet.index=1")
    assert [(lv.name, lv.size_bytes) for lv in wanted.lvs] == [("brick-a", None), ("brick-b", 3 * GIB)]
    assert wanted.lvs[1].tags == (f"trivet.site={SITE}", "trivet.slot=2", "trivet.volume=b", "trivet.index=1")


SIZES: tuple[tuple[str, int | None], ...] = (("a", None), ("b", 3 * GIB))


def test_a_group_that_stands_keeps_its_name() -> None:
    assert wanted_lvs(Placement(want(layout="thin"), 0, own_thin(BLANK), False), plan().volumes).group == ("trivet-x")


def step_with(monkeypatch: pytest.MonkeyPatch, *disks: Disk, rule: DiskRule | None = None) -> object:
    made = context(2, of=plan())
    assert made.seed is not None
    if rule is not None:
        made.seed = made.seed.model_copy(update={"overrides": Overrides(disks={"ssd": rule})})
    monkeypatch.setattr(phase, "read_inventory", lambda: disks)
    monkeypatch.setattr(phase, "read_records", DiskRecords)
    done: list[str] = []
    monkeypatch.setattr(phase, "prepare", lambda placement, volumes, report: done.append(placement.disk.path))
    outcome = phase.step(made)
    assert isinstance(outcome, Done) == bool(done)
    return outcome


def test_the_phase_prepares_what_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert step_with(monkeypatch, BLANK) == Done("1 brick(s) on /dev/vdb")


def test_the_phase_waits_for_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(step_with(monkeypatch), Wait)


def test_the_phase_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedError, match="more than that match"):
        step_with(monkeypatch, blank("b"), blank("c"))


def test_the_seeds_override_takes_the_rules_place(monkeypatch: pytest.MonkeyPatch) -> None:
    named = step_with(monkeypatch, blank("b"), blank("c"), rule=DiskRule(path="/dev/vdc"))
    assert named == Done("1 brick(s) on /dev/vdc")


def test_mountinfo() -> None:
    text = (
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        "60 22 7:0 / /srv/a\\040b rw,noatime - xfs /dev/loop0 rw,inode64\n"
    )
    root, brick = mounts.parse_mountinfo(text)
    assert (root.point, root.kind, root.source) == ("/", "ext4", "/dev/vda")
    assert (brick.point, brick.kind) == ("/srv/a b", "xfs")
