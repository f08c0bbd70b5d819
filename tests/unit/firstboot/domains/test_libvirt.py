"""The libvirt registrar: definitions, and what it does to a pool in each state."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot.domains import libvirt as room
from firstboot.domains.libvirt import LibvirtPool, parse, render, require_ours, wanted_pool
from firstboot.domains.registrar import Domain, find
from firstboot.errors import BadInputError, RefusedError

DOMAIN = Domain("images", "data", Path("/var/lib/trivet/domains/images"), ("node2", "node1", "node3"))
ALONE = Domain("images", "data", Path("/var/lib/trivet/domains/images"), ("node1",))
DUMPED = """\
<pool type='netfs' xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'>
  <name>images</name>
  <uuid>8b6d4c6f-55c9-4b60-b2d3-91a13c3b1c3e</uuid>
  <capacity unit='bytes'>1020264448</capacity>
  <source>
    <host name='node2'/>
    <dir path='/data'/>
    <format type='glusterfs'/>
  </source>
  <target>
    <path>/var/lib/trivet/domains/images</path>
    <permissions><mode>0755</mode><owner>0</owner><group>0</group></permissions>
  </target>
  <fs:mount_opts>
    <fs:option name='backup-volfile-servers=node1:node3'/>
  </fs:mount_opts>
</pool>
"""


class FakePool:
    """A pool in libvirt; what is done to it is written down."""

    def __init__(self, text: str, *, active: bool = False, autostart: bool = False) -> None:
        self.text, self.active, self.starts = text, active, autostart
        self.done: list[str] = []

    def name(self) -> str:
        return parse(self.text).name

    def UUIDString(self) -> str:  # noqa: N802
        return "8b6d4c6f-55c9-4b60-b2d3-91a13c3b1c3e"

    def XMLDesc(self, flags: int) -> str:  # noqa: N802
        return self.text

    def autostart(self) -> bool:
        return self.starts

    def setAutostart(self, on: int) -> None:  # noqa: N802
        self.done.append("autostart")
        self.starts = True

    def isActive(self) -> bool:  # noqa: N802
        return self.active

    def create(self, flags: int) -> None:
        self.done.append("create")
        self.active = True

    def destroy(self) -> None:
        self.done.append("destroy")
        self.active = False

    def refresh(self, flags: int) -> None:
        self.done.append("refresh")


class FakeConnection:
    """libvirt with these pools."""

    def __init__(self, *pools: FakePool) -> None:
        self.pools = list(pools)
        self.defined: list[str] = []

    def listAllStoragePools(self, flags: int) -> list[FakePool]:  # noqa: N802
        return self.pools

    def storagePoolDefineXML(self, text: str, flags: int) -> FakePool:  # noqa: N802
        self.defined.append(text)
        known = [pool for pool in self.pools if pool.name() == parse(text).name]
        pool = known[0] if known else FakePool(text)
        pool.text = text
        self.pools = [*(p for p in self.pools if p is not pool), pool]
        return pool


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "make_target", lambda target: None)


def register(connection: FakeConnection, monkeypatch: pytest.MonkeyPatch, *, alive: bool = True) -> None:
    monkeypatch.setattr(room, "is_usable", lambda domain: alive)
    room._register(connection, DOMAIN, lambda line: None)  # type: ignore[arg-type]


def test_the_definition_names_this_node_first_and_the_others_as_backups() -> None:
    pool = wanted_pool(DOMAIN)
    assert (pool.host, pool.options) == ("node2", ("backup-volfile-servers=node1:node3",))
    assert wanted_pool(ALONE).options == ()


@pytest.mark.parametrize("domain", [DOMAIN, ALONE])
def test_what_is_rendered_is_read_back(domain: Domain) -> None:
    assert parse(render(wanted_pool(domain))) == wanted_pool(domain)


def test_what_libvirt_prints_is_read() -> None:
    assert parse(DUMPED) == wanted_pool(DOMAIN)


def test_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = FakeConnection()
    register(connection, monkeypatch)
    (pool,) = connection.pools
    assert pool.done == ["autostart", "create", "refresh"]
    assert parse(pool.text) == wanted_pool(DOMAIN)


def test_done_already(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = FakeConnection(FakePool(DUMPED, active=True, autostart=True))
    register(connection, monkeypatch)
    assert connection.defined == []
    assert connection.pools[0].done == []


def test_cut_off_after_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = FakeConnection(FakePool(DUMPED))
    register(connection, monkeypatch)
    assert connection.defined == []
    assert connection.pools[0].done == ["autostart", "create", "refresh"]


def test_a_start_that_raced_glusterd_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = FakeConnection(FakePool(DUMPED, autostart=True))
    register(connection, monkeypatch)
    assert connection.pools[0].done == ["create", "refresh"]


def test_a_dead_mount_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = FakeConnection(FakePool(DUMPED, active=True, autostart=True))
    register(connection, monkeypatch, alive=False)
    assert connection.pools[0].done == ["destroy", "create", "refresh"]


def test_changed_members_change_the_definition_and_keep_the_pools_id(monkeypatch: pytest.MonkeyPatch) -> None:
    old = DUMPED.replace("node1:node3", "node1")
    connection = FakeConnection(FakePool(old, active=True, autostart=True))
    register(connection, monkeypatch)
    (text,) = connection.defined
    assert parse(text) == wanted_pool(DOMAIN)
    assert "8b6d4c6f-55c9-4b60-b2d3-91a13c3b1c3e" in text


@pytest.mark.parametrize(
    "other",
    [
        LibvirtPool("images", "dir", "", "", "", "/var/lib/libvirt/images", ()),
        LibvirtPool("images", "netfs", "nfs", "nas", "/export", "/mnt", ()),
    ],
)
def test_another_pool_of_that_name_is_refused(monkeypatch: pytest.MonkeyPatch, other: LibvirtPool) -> None:
    with pytest.raises(RefusedError, match="libvirt has a pool images already"):
        require_ours(wanted_pool(DOMAIN), other)
    connection = FakeConnection(FakePool(render(other), active=True))
    with pytest.raises(RefusedError):
        register(connection, monkeypatch)
    assert connection.defined == []
    assert connection.pools[0].done == []


def test_registrars_are_found_by_name() -> None:
    assert isinstance(find("libvirt"), room.LibvirtRegistrar)
    with pytest.raises(BadInputError, match="there is no registrar ovirt"):
        find("ovirt")


def test_a_mount_that_lost_its_bricks_for_a_moment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [False, False, True]
    monkeypatch.setattr(room, "RECONNECT_PAUSE_S", 0.0)
    monkeypatch.setattr(room, "mounted_at", lambda _: "a mount")
    monkeypatch.setattr(room, "is_usable", lambda _: answers.pop(0))
    assert not room.is_dead(DOMAIN)
    monkeypatch.setattr(room, "is_usable", lambda _: False)
    assert room.is_dead(DOMAIN)
    monkeypatch.setattr(room, "mounted_at", lambda _: None)
    monkeypatch.setattr(room, "RECONNECT_PAUSE_S", 3600.0)
    assert room.is_dead(DOMAIN), "there is nothing to wait for"
