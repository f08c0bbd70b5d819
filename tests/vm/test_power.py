"""Power cut of a whole formed cluster: it comes back by itself, with its data, as the same nodes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from testinfra.host import Host

from builder.lab.report import LabStatus
from firstboot import paths
from tests.vm.cli import PROFILE, trivet
from tests.vm.conftest import Lab, formed_lab, host_of

pytestmark = pytest.mark.full

LIMIT_S = 3600.0
NODES = ("1", "2", "3")
FILE = f"{paths.DOMAINS}/vmstore/before-the-cut"


def status(lab: Lab) -> LabStatus:
    done = trivet("lab", "status", "--name", lab.name, "--json", check=False)
    return LabStatus.model_validate_json(done.stdout)


def test_all_nodes_lose_power_at_once(image_folder: Path, tmp_path: Path) -> None:
    with formed_lab(PROFILE, image_folder, tmp_path / "site") as lab:
        node = host_of(lab, 1)
        node.check_output(f"dd if=/dev/urandom of={FILE} bs=1M count=32 conv=fsync status=none")
        digest = node.check_output(f"sha256sum {FILE}")
        (lab.folder.path / "ssh-1").unlink()  # the connection that is kept open dies with the node
        for number in NODES:
            trivet("lab", "stop", number, "--name", lab.name)
        assert [found.power for found in status(lab).nodes] == ["off"] * 3
        for number in NODES:
            trivet("lab", "start", number, "--name", lab.name)
        end = time.monotonic() + LIMIT_S
        while not (again := status(lab)).formed:
            assert time.monotonic() < end, json.dumps(again.model_dump(mode="json"), indent=1)
            time.sleep(10)
        assert {found.node_id for found in again.nodes} == {found.node_id for found in lab.status.nodes}
        for number in (1, 2, 3):
            node = host_of(lab, number)
            assert node.check_output(f"sha256sum {FILE}") == digest
            assert since_boot_us(node, "trivet-packetfilter") < since_boot_us(node, "systemd-networkd")


def since_boot_us(node: Host, unit: str) -> int:
    """When a unit was up."""
    return int(node.check_output(f"systemctl show --value --property ActiveEnterTimestampMonotonic {unit}"))
