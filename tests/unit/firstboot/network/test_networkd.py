"""Our files in networkd's folder, what networkctl says, and the libvirt network's document."""

from __future__ import annotations

from pathlib import Path

from firstboot.network.libvirt_network import document
from firstboot.network.networkd import parse_states, sync_files, write_changed
from firstboot.plan import GuestBridge

LIST = """{"Interfaces":[
 {"Index":1,"Name":"lo","AdministrativeState":"unmanaged","OperationalState":"carrier"},
 {"Index":3,"Name":"eno1","AdministrativeState":"configuring","NetworkFile":"/etc/systemd/network/10-trivet-eno1.network"},
 {"Index":4,"Name":"br0","AdministrativeState":"configured","NetworkFile":"/etc/systemd/network/10-trivet-br0.network"}]}
"""


def test_only_our_files_are_synced(tmp_path: Path) -> None:
    (tmp_path / "10-trivet-old.network").write_text("old")
    (tmp_path / "50-other.network").write_text("theirs")
    assert sync_files(tmp_path, {"10-trivet-a.network": "a"})
    assert {path.name for path in tmp_path.iterdir()} == {"10-trivet-a.network", "50-other.network"}
    assert not sync_files(tmp_path, {"10-trivet-a.network": "a"})
    assert sync_files(tmp_path, {"10-trivet-a.network": "b"})


def test_an_empty_file_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert write_changed(path, "a")
    assert write_changed(path, "")
    assert not path.exists()
    assert not write_changed(path, "")


def test_states_of_links() -> None:
    states = parse_states(LIST)
    assert {name: state.settled for name, state in states.items()} == {"lo": True, "eno1": False, "br0": True}
    assert states["lo"].file is None
    assert parse_states("") == {}
    assert parse_states("no JSON") == {}


def test_the_libvirt_network_is_on_the_bridge() -> None:
    assert document(GuestBridge()) == (
        "<network><name>guests</name><forward mode='bridge'/><bridge name='br0'/></network>"
    )
