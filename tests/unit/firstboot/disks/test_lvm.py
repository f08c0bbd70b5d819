"""The plan of LVM commands, word for word, from any point at which it may have been cut off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from firstboot.disks.lvm import (
    MIB,
    Facts,
    Group,
    LogicalVolume,
    PhysicalVolume,
    Wanted,
    WantedLv,
    group_name,
    lv_sizes,
    metadata_bytes,
    next_command,
    parse_groups,
    parse_lvs,
    parse_physical_volumes,
)
from firstboot.errors import RefusedError, TrivetError
from firstboot.plan import GIB

WANTED = Wanted(
    device="/dev/vdb",
    group="trivet-one",
    tags=("trivet.site=abc", "trivet.slot=2"),
    lvs=(
        WantedLv("brick-data", ("trivet.volume=data",), None),
        WantedLv("brick-engine", ("trivet.volume=engine",), 10 * GIB),
    ),
)
NOTHING = Facts(None, None, ())
LABELLED = Facts(PhysicalVolume("/dev/vdb", "", ()), None, ())
EXTENTS = 100 * 256 - 1  # 100 GiB in extents of 4 MiB, without the label's
GROUP = Group("trivet-one", WANTED.tags, 4 * MIB, EXTENTS)
GROUPED = Facts(PhysicalVolume("/dev/vdb", "trivet-one", WANTED.tags), GROUP, ())
POOL = LogicalVolume("thin", (), 98 * GIB, "twi-a-t---")
POOLED = replace(GROUPED, lvs=(POOL,))
DATA = LogicalVolume("brick-data", ("trivet.volume=data",), 88 * GIB, "Vwi-a-t---")
ENGINE = LogicalVolume("brick-engine", ("trivet.volume=engine",), 10 * GIB, "Vwi-a-t---")


def words(facts: Facts) -> str | None:
    command = next_command(WANTED, facts)
    return None if command is None else " ".join(word or "''" for word in command)


def test_every_command_word_for_word() -> None:
    assert [words(facts) for facts in (NOTHING, LABELLED, GROUPED, POOLED, replace(POOLED, lvs=(POOL, DATA)))] == [
        "pvcreate --devicesfile '' /dev/vdb",
        "vgcreate --devicesfile '' --addtag trivet.site=abc --addtag trivet.slot=2 trivet-one /dev/vdb",
        "lvcreate --devicesfile '' --type thin-pool --name thin --extents 25343 --poolmetadatasize 536870912b "
        "--chunksize 262144b --zero n trivet-one",
        "lvcreate --devicesfile '' --type thin --name brick-data --virtualsize 94489280512b "
        "--addtag trivet.volume=data --thinpool thin trivet-one",
        "lvcreate --devicesfile '' --type thin --name brick-engine --virtualsize 10737418240b "
        "--addtag trivet.volume=engine --thinpool thin trivet-one",
    ]


def test_nothing_left_to_do() -> None:
    assert words(replace(POOLED, lvs=(POOL, DATA, ENGINE))) is None


def test_what_stands_but_sleeps_is_activated() -> None:
    asleep = replace(POOL, attr="twi---t---")
    assert words(replace(POOLED, lvs=(asleep,))) == "vgchange --devicesfile '' --activate y trivet-one"
    brick = replace(DATA, attr="Vwi---t---")
    assert words(replace(POOLED, lvs=(POOL, brick))) == "lvchange --devicesfile '' --activate y trivet-one/brick-data"


def test_a_disk_of_another_group_is_refused() -> None:
    with pytest.raises(RefusedError, match="belongs to volume group other, not trivet-one"):
        next_command(WANTED, Facts(PhysicalVolume("/dev/vdb", "other", ()), None, ()))


def test_no_command_forces_anything() -> None:
    stages = (NOTHING, LABELLED, GROUPED, POOLED)
    flags = {word for facts in stages for word in next_command(WANTED, facts) or ()}
    assert not flags & {"--force", "-f", "-ff", "--yes", "-y"}


def test_pool_and_spare_fit_into_the_group() -> None:
    for gib in (1, 8, 100, 4000, 16000):
        group = replace(GROUP, extents=gib * 256 - 1)
        command = next_command(WANTED, replace(GROUPED, group=group))
        assert command is not None
        data = int(command[command.index("--extents") + 1])
        metadata = int(command[command.index("--poolmetadatasize") + 1].rstrip("b")) // group.extent_bytes
        assert data > 0
        assert data + 2 * metadata <= group.extents


def test_metadata_stays_within_lvms_limits() -> None:
    assert metadata_bytes(GIB) == 32 * MIB
    assert metadata_bytes(1000 * GIB) == 5 * GIB
    assert metadata_bytes(100_000 * GIB) == 15 * GIB


def test_sizes_are_equal_shares_in_whole_extents() -> None:
    wanted = replace(WANTED, lvs=(WantedLv("a", (), None), WantedLv("b", (), None), WantedLv("c", (), 10 * GIB)))
    sizes = lv_sizes(wanted, pool_bytes=31 * GIB + 5, extent_bytes=4 * MIB)
    assert sizes == {"a": 10752 * MIB, "b": 10752 * MIB, "c": 10 * GIB}


@pytest.mark.parametrize("pool_gib", [5, 10])
def test_what_does_not_fit_is_refused(pool_gib: int) -> None:
    with pytest.raises(RefusedError, match="too small: brick-data, brick-engine do not fit"):
        lv_sizes(WANTED, pool_bytes=pool_gib * GIB, extent_bytes=4 * MIB)


def test_names_of_groups() -> None:
    assert group_name("wwn= serial=S3Z9/NB-1", "S3Z9/NB-1") == "trivet-S3Z9NB1"
    assert group_name("path=/dev/vdb", None) == group_name("path=/dev/vdb", "") != group_name("path=/dev/vdc", None)


def test_reports_of_lvm() -> None:
    # As pvs of lvm2 2.03.16 prints it, with one group's disk and one orphan.
    report = """
      {"report": [{"pv": [
          {"pv_name":"/dev/loop0", "vg_name":"trivet-x", "vg_tags":"trivet.site=abc,trivet.slot=1"},
          {"pv_name":"/dev/loop1", "vg_name":"", "vg_tags":""}
      ]}]}"""
    assert parse_physical_volumes(report) == {
        "/dev/loop0": PhysicalVolume("/dev/loop0", "trivet-x", ("trivet.site=abc", "trivet.slot=1")),
        "/dev/loop1": PhysicalVolume("/dev/loop1", "", ()),
    }


def test_reports_of_groups_and_lvs() -> None:
    groups = '{"report":[{"vg":[{"vg_name":"g","vg_tags":"","vg_extent_size":"4194304","vg_extent_count":"255"}]}]}'
    assert parse_groups(groups) == (Group("g", (), 4 * MIB, 255),)
    lvs = '{"report":[{"lv":[{"lv_name":"thin","lv_tags":"","lv_size":"1073741824","lv_attr":"twi-aotz--"}]}]}'
    (pool,) = parse_lvs(lvs)
    assert pool.is_active
    assert pool.size_bytes == GIB


def test_an_unreadable_report_is_an_error() -> None:
    with pytest.raises(TrivetError, match="can't read"):
        parse_lvs("Failed to find lock")
