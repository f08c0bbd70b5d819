"""The choice of disks: each rule, each refusal, and the properties that must hold for any machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.disks.inventory import Content, Disk
from firstboot.disks.lvm import PhysicalVolume
from firstboot.disks.records import DiskRecords
from firstboot.disks.selection import Chosen, Decision, Missing, Refused, choose, mismatch, obstacles
from firstboot.disks.tags import LABEL_NEW
from firstboot.plan import GIB, DiskRule
from tests.unit.firstboot.disks.made import BLANK, SITE, SYSTEM, blank, own_plain, own_thin, record, want

NOTHING = DiskRecords()
ORPHAN = replace(
    BLANK, lvm=PhysicalVolume("/dev/vdb", "", ()), content=(Content("LVM2_member", "a LVM2_member signature"),)
)
UNSIGNED = replace(BLANK, content=(Content("data", "data without a known signature"),))


def paths(decision: Decision) -> list[tuple[int, str, bool]]:
    assert isinstance(decision, Chosen), decision
    return [(p.index, p.disk.path, p.fresh) for p in decision.placements]


def refusal(decision: Decision) -> str:
    assert isinstance(decision, Refused), decision
    assert decision.hint
    return decision.reason


def lack(decision: Decision) -> str:
    assert isinstance(decision, Missing), decision
    assert decision.hint
    return decision.reason


def test_the_only_blank_disk_is_taken() -> None:
    assert paths(choose((want(),), (SYSTEM, BLANK), NOTHING)) == [(0, "/dev/vdb", True)]


def test_several_for_one_class() -> None:
    disks = (SYSTEM, blank("b"), blank("c"))
    assert paths(choose((want(count=2),), disks, NOTHING)) == [(0, "/dev/vdb", True), (1, "/dev/vdc", True)]


def test_more_than_wanted_is_ambiguous_and_all_are_named() -> None:
    reason = refusal(choose((want(),), (SYSTEM, blank("b"), blank("c")), NOTHING))
    assert "/dev/vdb" in reason
    assert "/dev/vdc" in reason


def test_too_few_names_what_was_seen_and_why_not() -> None:
    reason = lack(choose((want(),), (SYSTEM, blank("b", size_bytes=GIB)), NOTHING))
    assert "/dev/vdb (1.0 GiB, serial serial-b): smaller than 8 GiB" in reason


def test_no_disk_at_all() -> None:
    assert "none at all" in lack(choose((want(),), (), NOTHING))


def test_the_system_disk_alone_means_that_a_disk_is_missing() -> None:
    assert "/dev/vda (100.0 GiB): the system disk" in lack(choose((want(),), (SYSTEM,), NOTHING))


def test_content_is_named() -> None:
    full = replace(BLANK, content=(Content("ext4", "a ext4 signature labelled precious"),))
    reason = refusal(choose((want(),), (SYSTEM, full), NOTHING))
    assert "/dev/vdb (100.0 GiB, serial one): has content: a ext4 signature labelled precious" in reason


def test_a_disk_with_content_does_not_spoil_the_blank_one() -> None:
    full = blank("c", content=(Content("ext4", "a ext4 signature"),))
    assert paths(choose((want(),), (BLANK, full), NOTHING)) == [(0, "/dev/vdb", True)]


def test_nothing_is_taken_until_every_disk_is_there() -> None:
    assert "lacks 2 disk(s)" in lack(choose((want(count=2),), (BLANK,), NOTHING))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (DiskRule(min_size_bytes=200 * GIB), "smaller than 200 GiB"),
        (DiskRule(max_size_bytes=50 * GIB), "larger than 50 GiB"),
        (DiskRule(rotational=True), "not rotational"),
        (DiskRule(bus="nvme"), "on bus virtio, not nvme"),
        (DiskRule(model="SAMSUNG*"), "model unknown is not SAMSUNG*"),
        (DiskRule(serial="t*"), "serial one is not t*"),
        (DiskRule(wwn="0x5*"), "WWN unknown is not 0x5*"),
        (DiskRule(path="/dev/vdc"), "not /dev/vdc"),
    ],
)
def test_each_property_of_a_rule(rule: DiskRule, said: str) -> None:
    assert mismatch(rule, BLANK) == (said,)


@pytest.mark.parametrize(
    "rule",
    [
        DiskRule(min_size_bytes=100 * GIB, max_size_bytes=100 * GIB),
        DiskRule(rotational=False, bus="virtio", serial="o?e"),
        DiskRule(path="/dev/disk/by-id/virtio-*"),
    ],
)
def test_rules_that_mean_it(rule: DiskRule) -> None:
    assert mismatch(rule, BLANK) == ()


@pytest.mark.parametrize("change", [{"bus": "loop"}, {"bus": None}, {"removable": True}])
def test_odd_devices_are_taken_only_by_name(change: dict[str, object]) -> None:
    odd = replace(BLANK, **change)  # type: ignore[arg-type]
    assert mismatch(DiskRule(), odd)
    assert not mismatch(DiskRule(path="/dev/vdb"), odd)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_boot": True}, "the system disk"),
        ({"is_seed": True}, "the seed medium"),
        ({"read_only": True}, "read-only"),
        ({"uses": ("mounted at /srv",)}, "mounted at /srv"),
        ({"lvm": PhysicalVolume("/dev/vdb", "other", ())}, "has content: LVM group other"),
    ],
)
def test_each_obstacle(change: dict[str, object], said: str) -> None:
    assert obstacles(replace(BLANK, **change)) == (said,)  # type: ignore[arg-type]


def test_two_classes_never_share_a_disk() -> None:
    wants = (want(name="fast"), want(name="slow"))
    assert "fast and slow" in refusal(choose(wants, (BLANK,), NOTHING))
    exclusive = (want(DiskRule(serial="one"), name="fast"), want(DiskRule(serial="serial-c"), name="slow"))
    assert paths(choose(exclusive, (BLANK, blank("c")), NOTHING)) == [(0, "/dev/vdb", True), (0, "/dev/vdc", True)]


@pytest.mark.parametrize(("layout", "own"), [("plain", own_plain), ("thin", own_thin)])
def test_our_own_bricks_are_recognised_whatever_else_is_there(layout: str, own: object) -> None:
    mine = own(blank("c"))  # type: ignore[operator]
    assert paths(choose((want(layout=layout),), (BLANK, mine), NOTHING)) == [(0, "/dev/vdc", False)]


@pytest.mark.parametrize(("layout", "own"), [("plain", own_plain), ("thin", own_thin)])
def test_bricks_of_another_site_are_content(layout: str, own: object) -> None:
    foreign = own(BLANK, site="7" * 32)  # type: ignore[operator]
    assert "has content" in refusal(choose((want(layout=layout),), (foreign,), NOTHING))


def test_a_brick_being_made_goes_on() -> None:
    assert paths(choose((want(),), (own_plain(BLANK, label=LABEL_NEW),), NOTHING)) == [(0, "/dev/vdb", False)]


def test_a_copy_of_a_brick_is_refused() -> None:
    disks = (own_plain(blank("b")), own_plain(blank("c")))
    assert "/dev/vdb and /dev/vdc both say to be disk 0" in refusal(choose((want(),), disks, NOTHING))


@pytest.mark.parametrize("left", [BLANK, ORPHAN, UNSIGNED])
def test_what_an_interrupted_preparation_leaves_goes_on(left: Disk) -> None:
    assert paths(choose((want(layout="thin"),), (left, blank("c")), record(BLANK))) == [(0, "/dev/vdb", False)]


def test_a_remembered_disk_that_got_content_meanwhile_is_not_taken() -> None:
    full = replace(BLANK, content=(Content("ext4", "a ext4 signature"),))
    assert "ext4" in refusal(choose((want(),), (full,), record(BLANK)))


NAMELESS = replace(BLANK, serial=None)


@pytest.mark.parametrize("left", [UNSIGNED, ORPHAN])
@pytest.mark.parametrize("others", [(), (blank("c"),)])
def test_a_begun_disk_that_is_known_by_its_path_alone_is_not_taken_with_content(
    left: Disk, others: tuple[Disk, ...]
) -> None:
    disk = replace(NAMELESS, content=left.content, lvm=left.lvm)
    known = record(NAMELESS)
    assert disk.identity == known.disks[0].identity, "it would be taken for the disk that was begun"
    reason = refusal(choose((want(layout="thin"),), (disk, *others), known))
    assert "/dev/vdb (100.0 GiB) was begun as a disk of brick class ssd" in reason
    assert f"has content: {left.content[0].text}" in reason


def test_a_begun_disk_that_is_known_by_its_path_alone_goes_on_blank_or_with_our_mark() -> None:
    assert paths(choose((want(),), (NAMELESS, blank("c")), record(NAMELESS))) == [(0, "/dev/vdb", True)]
    marked = own_plain(NAMELESS, label=LABEL_NEW)
    assert paths(choose((want(),), (marked, blank("c")), record(NAMELESS))) == [(0, "/dev/vdb", False)]


def test_another_disk_at_a_remembered_path_is_not_taken_when_no_rule_means_it() -> None:
    rule = DiskRule(serial="serial-c")
    for disk in (NAMELESS, replace(NAMELESS, content=UNSIGNED.content)):
        assert paths(choose((want(rule),), (disk, blank("c")), record(NAMELESS))) == [(0, "/dev/vdc", True)]


def test_a_brick_that_is_gone_is_never_silently_replaced() -> None:
    reason = lack(choose((want(),), (blank("c"),), record(BLANK, ready=True)))
    assert "missing or lost its marks" in reason


def test_orphans_and_unsigned_data_are_content_unless_remembered() -> None:
    for disk in (ORPHAN, UNSIGNED):
        assert "has content" in refusal(choose((want(),), (disk,), NOTHING))


CONTENTS = st.sampled_from(
    [
        (),
        (),
        (Content("ext4", "a ext4 signature"),),
        (Content("data", "data without a known signature"),),
        (Content("gpt", "a gpt signature"), Content("partition", "partition /dev/x1")),
        (Content("LVM2_member", "a LVM2_member signature"),),
        (Content("unreadable", "unreadable: Input/output error"),),
    ]
)
MACHINES = st.lists(
    st.builds(
        replace,
        st.just(BLANK),
        size_bytes=st.sampled_from([GIB, 10 * GIB, 100 * GIB]),
        bus=st.sampled_from(["virtio", "sata", "usb", "loop", None]),
        rotational=st.booleans(),
        removable=st.booleans(),
        read_only=st.booleans(),
        content=CONTENTS,
        uses=st.sampled_from([(), (), (), ("mounted at /srv",)]),
        is_boot=st.sampled_from([False, False, False, True]),
        is_seed=st.sampled_from([False, False, False, True]),
    ),
    max_size=6,
).map(
    lambda disks: tuple(
        replace(disk, path=f"/dev/vd{letter}", serial=f"serial-{letter}", links=())
        for letter, disk in zip("abcdef", disks, strict=False)
    )
)
RULES = st.builds(
    DiskRule,
    min_size_bytes=st.sampled_from([0, 8 * GIB]),
    rotational=st.sampled_from([None, True]),
    bus=st.sampled_from([None, "virtio", "usb"]),
    path=st.sampled_from([None, "/dev/vd*", "/dev/vdb"]),
)


@given(disks=MACHINES, rule=RULES, count=st.integers(1, 3), layout=st.sampled_from(["plain", "thin"]))
def test_never_a_disk_with_content_or_of_the_system(
    disks: tuple[Disk, ...], rule: DiskRule, count: int, layout: str
) -> None:
    decision = choose((want(rule, count=count, layout=layout),), disks, NOTHING)
    if isinstance(decision, Chosen):
        taken = [placement.disk for placement in decision.placements]
        assert len({disk.path for disk in taken}) == count
        for disk in taken:
            assert not disk.content
            assert not (disk.uses or disk.is_boot or disk.is_seed or disk.read_only)
            assert not mismatch(rule, disk)
        fit = [disk for disk in disks if not mismatch(rule, disk) and not obstacles(disk)]
        assert len(fit) == count, "a choice was made among more disks than wanted"


@given(disks=MACHINES, rule=RULES, taken=st.integers(0, 5), ready=st.booleans())
def test_a_memory_never_opens_a_disk_with_a_signature(
    disks: tuple[Disk, ...], rule: DiskRule, taken: int, ready: bool
) -> None:
    known = record(disks[taken], ready=ready) if taken < len(disks) else NOTHING
    decision = choose((want(rule),), disks, known)
    if isinstance(decision, Chosen):
        (placement,) = decision.placements
        assert {content.kind for content in placement.disk.content} <= {"data"}
        assert not (placement.disk.uses or placement.disk.is_boot or placement.disk.is_seed)


@given(disks=MACHINES, rule=RULES, taken=st.integers(0, 5), layout=st.sampled_from(["plain", "thin"]))
def test_without_a_serial_a_memory_opens_no_disk_that_is_not_blank_and_meant(
    disks: tuple[Disk, ...], rule: DiskRule, taken: int, layout: str
) -> None:
    nameless = tuple(replace(disk, serial=None) for disk in disks)
    known = record(nameless[taken]) if taken < len(nameless) else NOTHING
    decision = choose((want(rule, layout=layout),), nameless, known)
    if isinstance(decision, Chosen):
        (placement,) = decision.placements
        assert placement.fresh
        assert not obstacles(placement.disk)
        assert not mismatch(rule, placement.disk)


@given(disks=MACHINES, site=st.sampled_from([SITE, "7" * 32]))
def test_deciding_twice_is_deciding_once(disks: tuple[Disk, ...], site: str) -> None:
    first = choose((want(),), disks, NOTHING)
    if isinstance(first, Chosen):
        (placement,) = first.placements
        made = tuple(own_plain(disk) if disk == placement.disk else disk for disk in disks)
        again = choose((want(),), made, record(placement.disk, ready=True))
        assert paths(again) == [(0, placement.disk.path, False)]
