"""The domain XML of a machine, against golden files; write them anew with TRIVET_GOLDEN=write."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from builder.lab.machine import domain_xml, guest_uuid
from builder.lab.state import LabFolder, LabState
from firstboot.plan import Bond, BrickClass, DiskRule, Interface, NetworkPlan, StorageNetwork
from tests.unit.lab.labs import plan, state

GOLDEN = Path(__file__).parents[2] / "golden" / "lab"
FOLDER = LabFolder(Path("/var/lib/trivet-lab/lab"))

BRICKS = (
    BrickClass(name="data"),
    BrickClass(name="fast", rule=DiskRule(rotational=False, min_size_bytes=20 * 2**30), count=2),
)
TWO_BONDS = plan(
    count=2,
    network=NetworkPlan(
        interface=Interface(name="bond0"),
        vlan=10,
        bonds=(
            Bond(name="bond0", members=(Interface(name="eno*"),), mtu=9000),
            Bond(name="bond1", mode="802.3ad", members=(Interface(name="ens1"), Interface(name="ens2"))),
        ),
        storage=StorageNetwork(interface=Interface(name="bond1")),
    ),
)
CASES: dict[str, dict[str, Any]] = {
    "tcg-bios": {},
    "kvm-uefi": {"kind": "kvm", "firmware": "uefi", "cpus": 4, "memory_mib": 4096},
    "many-disks": {"plan": plan(bricks=BRICKS)},
    "two-bonds": {"plan": TWO_BONDS},
}


def rendered(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[str, LabState]:
    monkeypatch.setattr(Path, "exists", lambda path: path.name == "seed.img")
    lab = state(**changes)
    return domain_xml(FOLDER, lab, lab.node(2)), lab


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = rendered(CASES[case], monkeypatch)
    golden = GOLDEN / f"domain-{case}.xml"
    if os.environ.get("TRIVET_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


def test_a_proven_kvm_passes_the_host_cpu_through(monkeypatch: pytest.MonkeyPatch) -> None:
    root = ElementTree.fromstring(rendered(CASES["kvm-uefi"], monkeypatch)[0])
    cpu = root.find("cpu")
    assert root.get("type") == "kvm"
    assert cpu is not None
    assert cpu.get("mode") == "host-passthrough"


def test_disks_have_targets_and_serials_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    root = ElementTree.fromstring(rendered(CASES["many-disks"], monkeypatch)[0])
    targets = [target.get("dev") for target in root.iterfind(".//disk/target")]
    serials = [serial.text for serial in root.iterfind(".//disk/serial")]
    assert targets == ["vda", "vdb", "sda", "sdb", "vdc"]
    assert serials == ["system-2", "data-1", "fast-1", "fast-2", "seed-2"]


def test_text_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = state()
    odd = lab.node(1).model_copy(update={"serial": "<&'\">"})
    root = ElementTree.fromstring(domain_xml(FOLDER, lab, odd))
    assert [e.text for e in root.iterfind("sysinfo/system/entry") if e.get("name") == "serial"] == ["<&'\">"]


def test_uuids_are_stable_and_apart() -> None:
    assert guest_uuid("a", "node1") == guest_uuid("a", "node1")
    assert len({guest_uuid(lab, node) for lab in "ab" for node in ("node1", "node2")}) == 4


def test_a_clock_can_be_wrong_on_one_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    text, made = rendered({"clocks": {2: -86_400}}, monkeypatch)
    assert "<clock offset='variable' adjustment='-86400' basis='utc'/>" in text
    assert [node.clock_ahead_s for node in made.nodes] == [0, -86_400, 0]
