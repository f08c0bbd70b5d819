"""Images of the other modes: what the mode has no need of is not in them, and their nodes form all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot import paths
from tests.vm.cli import trivet
from tests.vm.conftest import formed_lab, host_of

pytestmark = pytest.mark.full

PROFILES = Path(__file__).parent / "profiles"


def built(name: str, folder: Path) -> Path:
    trivet("build", PROFILES / f"{name}.yaml", "-o", folder, timeout_s=3600)
    packages = {line.split()[0] for line in (folder / "packages.txt").read_text().splitlines() if line}
    assert "openssh-server" in packages
    left_out = {"hosts": {"glusterfs-server", "lvm2"}, "stores": {"libvirt-daemon", "qemu-system-x86"}}[name]
    assert not left_out & packages
    return folder


def test_hypervisors_without_storage_boot_by_uefi_and_form(tmp_path: Path) -> None:
    image = built("hosts", tmp_path / "image")
    with formed_lab(PROFILES / "hosts.yaml", image, tmp_path / "site", "--firmware", "uefi") as lab:
        assert [node.phase for node in lab.status.nodes] == ["formed", "formed"]
        assert lab.status.volumes == ()
        for number in (1, 2):
            node = host_of(lab, number)
            assert node.file("/sys/firmware/efi").exists
            assert not node.exists("glusterd")
            assert "Active:         yes" in node.check_output("virsh net-info guests")
            assert node.check_output("systemctl --failed --no-legend --plain") == ""


def test_storage_without_hypervisor_forms_at_its_own_addresses(tmp_path: Path) -> None:
    image = built("stores", tmp_path / "image")
    with formed_lab(PROFILES / "stores.yaml", image, tmp_path / "site") as lab:
        assert [node.address for node in lab.status.nodes] == [f"10.200.7.{host}" for host in (11, 12, 13)]
        assert {volume.name: volume.status for volume in lab.status.volumes} == {
            "archive": "Started",
            "images": "Started",
        }
        for number in (1, 2, 3):
            node = host_of(lab, number)
            assert not node.exists("virsh")
            for volume, kind in (("images", "lvm"), ("archive", "disk")):
                mount = node.mount_point(str(paths.brick_mount(volume, 0)))
                assert mount.filesystem == "xfs"
                assert node.check_output(f"lsblk -no TYPE {mount.device}") == kind
            assert node.check_output("systemctl --failed --no-legend --plain") == ""
