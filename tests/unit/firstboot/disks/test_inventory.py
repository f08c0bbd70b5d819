"""What lsblk and its kin print becomes typed disks."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from firstboot.disks import inventory
from firstboot.disks.inventory import BlockDevice, Content, Disk, describe, parse_lsblk, read_signatures, read_xfs
from firstboot.errors import TrivetError
from firstboot.plan import GIB
from firstboot.run import Completed

SAMPLES = Path(__file__).parent / "samples"
GPT = '{"signatures": [{"device": "loop0", "offset": "0x200", "type": "gpt", "uuid": null, "label": null}]}'
XFS = (
    '{"signatures": [{"device": "loop0", "offset": "0x0", "type": "xfs", '
    '"uuid": "31580184-043b-4186-9d68-78a987f26e6b", "label": "trivet-x"}]}'
)
BLANK = '{"signatures": []}'


def of(device: BlockDevice, **facts: object) -> Disk:
    """A disk of which nothing is known beyond lsblk."""
    known: dict[str, object] = {"signatures": (), "sample": None, "exclusive": False, "links": (), "lvm": None}
    return describe(device, **{**known, **facts})  # type: ignore[arg-type]


def device(**facts: object) -> BlockDevice:
    return BlockDevice.model_validate({"path": "/dev/sda", "type": "disk", "size": 100 * GIB, **facts})


def wipefs(monkeypatch: pytest.MonkeyPatch, text: str, code: int = 0, error: str = "") -> None:
    monkeypatch.setattr(inventory, "run", lambda argv, **_: Completed(tuple(argv), code, text, error, 0.0))


def test_a_recorded_machine() -> None:
    devices = {d.path: of(d) for d in parse_lsblk((SAMPLES / "lsblk-host.json").read_text())}
    system = devices["/dev/vda"]
    assert (system.bus, system.is_boot, "mounted at /" in system.uses) == ("virtio", True, True)
    blank = devices["/dev/loop1"]
    assert (blank.bus, blank.size_bytes, blank.content, blank.uses) == ("loop", GIB, (), ())
    assert not blank.is_boot
    assert devices["/dev/loop0"].read_only


@pytest.mark.parametrize(
    ("facts", "bus"),
    [
        ({"tran": "sata", "subsystems": "block:scsi:pci"}, "sata"),
        ({"tran": "nvme", "subsystems": "block:nvme:pci"}, "nvme"),
        ({"tran": "usb", "subsystems": "block:scsi:usb:pci"}, "usb"),
        ({"tran": "sas", "subsystems": "block:scsi:pci"}, "scsi"),
        ({"subsystems": "block:scsi:virtio:pci"}, "scsi"),
        ({"subsystems": "block:virtio:pci"}, "virtio"),
        ({"tran": "virtio", "subsystems": "block:virtio:pci"}, "virtio"),
        ({"type": "loop", "subsystems": "block"}, "loop"),
        ({"subsystems": "block"}, None),
    ],
)
def test_buses(facts: dict[str, object], bus: str | None) -> None:
    assert of(device(**facts)).bus == bus


def test_partitions_are_content_and_mark_the_system_disk() -> None:
    part = {"path": "/dev/sda6", "type": "part", "size": GIB, "partlabel": "trivet-state"}
    disk = of(device(children=[part]))
    assert disk.content == (Content("partition", "partition /dev/sda6 trivet-state"),)
    assert disk.is_boot


def test_a_mount_anywhere_in_the_tree_is_a_use() -> None:
    lv = {"path": "/dev/mapper/a-b", "type": "lvm", "size": GIB, "mountpoints": ["/var"]}
    disk = of(device(children=[{"path": "/dev/sda1", "type": "part", "size": GIB, "children": [lv]}]))
    assert disk.uses == ("mounted at /var",)
    assert disk.is_boot


def test_a_disk_in_an_array_is_in_use() -> None:
    assert of(device(children=[{"path": "/dev/md0", "type": "raid1", "size": GIB}])).uses == ("part of /dev/md0",)


def test_what_only_the_kernel_knows_is_a_use_too() -> None:
    assert "held by the kernel" in of(device(), exclusive=True).uses[0]


@pytest.mark.parametrize("where", ["label", "partlabel"])
def test_seed_media(where: str) -> None:
    part = {"path": "/dev/sda1", "type": "part", "size": GIB, where: "TRIVET-SEED"}
    assert of(device(children=[part])).is_seed


def test_unsigned_data_is_content_and_unreadable_is_as_well() -> None:
    for found in (Content("data", "data without a known signature"), Content("unreadable", "unreadable: I/O error")):
        assert of(device(), sample=found).content == (found,)


def test_identity_is_the_hardwares_where_it_has_one() -> None:
    assert of(device(serial=" S3Z9 ", wwn="0x5000")).identity == "wwn=0x5000 serial=S3Z9"
    assert of(device(path="/dev/vdz")).identity == "path=/dev/vdz"


def test_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    wipefs(monkeypatch, XFS)
    disk = of(device(), signatures=read_signatures("/dev/loop0"))
    assert disk.content == (Content("xfs", "a xfs signature labelled trivet-x"),)
    assert disk.xfs is not None
    assert (disk.xfs.label, disk.xfs.uuid) == ("trivet-x", "31580184-043b-4186-9d68-78a987f26e6b")
    assert read_xfs("/dev/loop0") == (disk.xfs, ("a xfs signature labelled trivet-x",))
    wipefs(monkeypatch, GPT)
    assert read_xfs("/dev/loop0") == (None, ("a gpt signature",))
    wipefs(monkeypatch, BLANK)
    assert read_signatures("/dev/loop0") == ()


def test_a_disk_that_can_not_be_looked_into_never_counts_as_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    wipefs(monkeypatch, "", 1, "wipefs: error: /dev/sda: probing initialization failed: Input/output error")
    disk = of(device(), signatures=read_signatures("/dev/sda"))
    assert disk.content == (Content("unreadable", "unreadable: Input/output error"),)


@pytest.mark.parametrize(("at", "found"), [(None, False), (4096, True), (GIB // 8 - 1, True)])
def test_the_first_and_last_mib_are_looked_at(tmp_path: Path, at: int | None, found: bool) -> None:
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(GIB // 8)
        if at is not None:
            file.seek(at)
            file.write(b"x")
    sample = inventory._sample(str(image), GIB // 8)
    assert (sample is not None) is found


def test_a_device_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    sample = inventory._sample(str(tmp_path / "none"), GIB)
    assert sample == Content("unreadable", f"unreadable: {os.strerror(errno.ENOENT)}")


def test_lsblk_of_another_kind_is_an_error() -> None:
    with pytest.raises(TrivetError, match="lsblk printed"):
        parse_lsblk("lsblk: unknown column")
