"""Marks that must be different on every machine: read, compared, and who has to change its own."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from firstboot import machineid
from firstboot.cluster.likeness import (
    GLUSTERD,
    HINTS,
    MARKS,
    Duplicate,
    Facts,
    duplicates,
    gives_way,
    glusterd_uuid,
    read_facts,
    sentence,
)
from firstboot.network.facts import Link

SITE = "0123456789abcdef0123456789abcdef"
UUID = "0f1e2d3c-4b5a-4678-8796-a5b4c3d2e1f0"
NAMES = {1: "node1", 2: "node2", 3: "node3"}


def machine(root: Path, *, machine_id: str = "a" * 32, product: str = UUID, info: str = "") -> Facts:
    for path, text in (
        ("etc/machine-id", f"{machine_id}\n"),
        ("sys/class/dmi/id/product_uuid", f"{product}\n"),
        ("var/lib/glusterd/glusterd.info", info),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    links = (
        Link(ifindex=2, ifname="eth0", link_type="ether", address="02:00:00:00:00:02", permaddr="02:00:00:00:00:01"),
        Link(
            ifindex=3, ifname="br0", link_type="ether", address="02:00:00:00:00:09", linkinfo={"info_kind": "bridge"}
        ),
    )
    return read_facts(SITE, links, pooled=False, root=root)


def test_a_machines_marks_are_read_and_the_confidential_ones_hashed(tmp_path: Path) -> None:
    found = machine(tmp_path, info=f"UUID={UUID.upper()}\noperating-version=110000\n")
    assert found.host_name == socket.gethostname()
    assert found.glusterd == UUID
    assert len(found.macs) == 1, "bridges and bonds have no address of their own"
    assert "a" * 32 not in found.model_dump_json()
    assert found.product is not None
    assert UUID not in found.model_copy(update={"glusterd": None}).model_dump_json()


@pytest.mark.parametrize(
    "product", ["", "Not Settable", "00000000-0000-0000-0000-000000000000", "03000200-0400-0500-0006-000700080009"]
)
def test_a_uuid_that_the_maker_left_in_is_none(tmp_path: Path, product: str) -> None:
    assert machine(tmp_path, product=product).product is None


@pytest.mark.parametrize("text", ["", "operating-version=1\n", "UUID=\n", "UUID=../../etc\n", f"XUUID={UUID}\n"])
def test_without_a_uuid_glusterd_has_none(tmp_path: Path, text: str) -> None:
    info = tmp_path / "glusterd.info"
    assert glusterd_uuid(info) is None
    info.write_text(text)
    assert glusterd_uuid(info) is None


def test_hardware_is_the_same_if_it_has_anything_in_common() -> None:
    card, other = Facts(macs=("1" * 32,)), Facts(macs=("2" * 32,))
    assert card.same_machine(Facts(macs=("1" * 32, "2" * 32), product="3" * 32)) is True
    assert card.same_machine(other) is False
    assert Facts().same_machine(card) is None


@pytest.mark.parametrize("mark", list(MARKS))
def test_each_mark_that_two_have_is_named(mark: str) -> None:
    value = UUID if mark == GLUSTERD else "7" * 32
    same = Facts.model_validate({MARKS[mark]: value})
    (found,) = duplicates({3: same, 1: same, 2: Facts()})
    assert (found.mark, found.slots) == (mark, (1, 3))
    assert sentence(found, NAMES).startswith(f"node1 and node3 have the same {mark}")
    assert HINTS[mark]


def test_three_of_a_kind_are_one_finding() -> None:
    same = Facts(machine_id="7" * 32)
    (found,) = duplicates(dict.fromkeys((1, 2, 3), same))
    assert sentence(found, NAMES) == "node1, node2 and node3 have the same machine-id"
    assert duplicates({1: Facts(), 2: Facts()}) == ()


@pytest.mark.parametrize(
    ("pooled", "giving"), [(set(), {2, 3}), ({3}, {1, 2}), ({2, 3}, {1}), ({1, 2, 3}, set()), ({1}, {2, 3})]
)
def test_the_incumbent_keeps_its_mark(pooled: set[int], giving: set[int]) -> None:
    facts = {slot: Facts(machine_id="7" * 32, pooled=slot in pooled) for slot in NAMES}
    (found,) = duplicates(facts)
    assert {slot for slot in NAMES if gives_way(slot, found, facts)} == giving
    assert not gives_way(9, Duplicate(GLUSTERD, (1, 2), UUID), facts)


def test_a_copied_installation_gets_marks_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restarted: list[str] = []
    monkeypatch.setattr(machineid.services, "is_active", lambda unit: unit != "libvirtd")
    monkeypatch.setattr(machineid.services, "restart", restarted.append)
    state = tmp_path / "state-machine-id"
    state.write_text("a" * 32 + "\n")
    link = tmp_path / "machine-id"
    link.symlink_to(state)
    for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", "sshd_config"):
        (tmp_path / name).write_text("x")
    machineid.renew(link, tmp_path)
    assert link.is_symlink()
    made = state.read_text().strip()
    assert len(made) == 32
    assert int(made, 16)
    assert made != "a" * 32
    assert sorted(path.name for path in tmp_path.glob("ssh*")) == ["sshd_config"]
    assert restarted == ["systemd-journald", "ssh"]
