"""Override files: what they become, and every error with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.profile.problems import ProfileError
from builder.site.overrides import load_overrides
from firstboot.errors import BadInputError
from firstboot.plan import GIB, Bond, Bridge, DiskRule, Interface, NetworkPlan, Plan, StorageNetwork
from firstboot.seed import Overrides
from tests.unit.site.seeds import small_plan


def load(tmp_path: Path, text: str) -> Overrides:
    path = tmp_path / "node1.yaml"
    path.write_text(text)
    return load_overrides(path, small_plan())


def test_all_that_can_differ(tmp_path: Path) -> None:
    text = "disks:\n  data: {serial: S3Z1, min_size: 20GiB}\ninterface: eno1\npeers: 192.0.2.11\n"
    assert load(tmp_path, text) == Overrides(
        disks={"data": DiskRule(serial="S3Z1", min_size_bytes=20 * GIB)},
        interface=Interface(name="eno1"),
        peers=("192.0.2.11",),
    )


def networked_plan() -> Plan:
    network = NetworkPlan(
        interface=Interface(name="bond0"),
        bonds=(Bond(name="bond0", members=(Interface(name="eno*"),), count=2),),
        storage=StorageNetwork(interface=Interface(name="ens1f0")),
        bridges=(
            Bridge(name="br-dmz", libvirt_network="dmz", vlan=30),
            Bridge(name="br-lab", libvirt_network="lab", isolated=True),
        ),
    )
    return small_plan().model_copy(update={"network": network})


def test_all_cards_can_differ(tmp_path: Path) -> None:
    path = tmp_path / "node1.yaml"
    path.write_text(
        "interface: {driver: ixgbe}\nstorage: {mac: 52-54-00-00-00-0A}\n"
        "bonds: {bond0: [eno1, {pci: '0000:03:00.1'}]}\nbridges: {br-dmz: enp9s0}\n"
    )
    assert load_overrides(path, networked_plan()) == Overrides(
        interface=Interface(driver="ixgbe"),
        storage=Interface(mac="52:54:00:00:00:0a"),
        bonds={"bond0": (Interface(name="eno1"), Interface(pci="0000:03:00.1"))},
        bridges={"br-dmz": Interface(name="enp9s0")},
    )


def test_networks_that_the_site_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "node1.yaml"
    path.write_text("bonds: {bond1: eno1}\nbridges: {br-lab: eno2, br-dnz: eno3}\n")
    with pytest.raises(ProfileError) as caught:
        load_overrides(path, networked_plan())
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (1, "bonds.bond1"),
        (2, "bridges.br-lab"),
        (2, "bridges.br-dnz"),
    ]
    assert "is no bond of the site; did you mean bond0? bonds are: bond0" in str(caught.value)
    with pytest.raises(ProfileError, match="storage: is given, but the site has no storage network"):
        load(tmp_path, "storage: eno2\n")


def test_nothing_differs(tmp_path: Path) -> None:
    assert load(tmp_path, "{}") == Overrides()


def test_errors_are_reported_together(tmp_path: Path) -> None:
    text = "disks:\n  data: {min_sise: 1GiB}\ninterfaces: eno1\npeers: 1\n"
    with pytest.raises(ProfileError) as caught:
        load(tmp_path, text)
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (2, "disks.data.min_sise"),
        (3, "interfaces"),
        (4, "peers"),
    ]
    assert "did you mean min_size?" in str(caught.value)
    assert str(caught.value).startswith("override file ")


def test_a_class_that_the_site_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(
        ProfileError, match=r"node1.yaml:2: disks.dota: is no brick class of the site; did you mean data"
    ):
        load(tmp_path, "disks:\n  dota: {}\n")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="override file .* can't be read"):
        load_overrides(tmp_path / "none", small_plan())
