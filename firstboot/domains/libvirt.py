"""Storage domains as libvirt netfs pools: Gluster over FUSE, on every node, active and started with libvirtd."""

from __future__ import annotations

import logging
import os
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import libvirt

from firstboot.disks.mounts import mounted_at
from firstboot.domains.registrar import Domain, State
from firstboot.errors import RefusedError
from firstboot.libvirtd import connected
from firstboot.paths import DOMAINS
from firstboot.services import start

log = logging.getLogger(__name__)

UNIT = "libvirtd"
RECONNECT_LOOKS, RECONNECT_PAUSE_S = 20, 0.5
"""Gluster's clients connect anew every three seconds."""
FS = "http://libvirt.org/schemas/storagepool/fs/1.0"


@dataclass(frozen=True)
class LibvirtPool:
    """The parts of a pool's XML that Trivet decides on. Everything else in it is libvirt's or an operator's."""

    name: str
    kind: str
    format: str
    host: str
    folder: str
    target: str
    options: tuple[str, ...]


def wanted_pool(domain: Domain) -> LibvirtPool:
    """The pool for a domain. libvirt takes one host for netfs; the others are mount.glusterfs(8)'s backups."""
    own, *others = domain.hosts
    return LibvirtPool(
        name=domain.name,
        kind="netfs",
        format="glusterfs",
        host=own,
        folder=f"/{domain.volume}",
        target=str(domain.target),
        options=(f"backup-volfile-servers={':'.join(others)}",) if others else (),
    )


def render(pool: LibvirtPool) -> str:
    """The pool as libvirt's XML (https://libvirt.org/formatstorage.html)."""
    ElementTree.register_namespace("fs", FS)
    root = ElementTree.Element("pool", type=pool.kind)
    ElementTree.SubElement(root, "name").text = pool.name
    source = ElementTree.SubElement(root, "source")
    ElementTree.SubElement(source, "host", name=pool.host)
    ElementTree.SubElement(source, "dir", path=pool.folder)
    ElementTree.SubElement(source, "format", type=pool.format)
    target = ElementTree.SubElement(root, "target")
    ElementTree.SubElement(target, "path").text = pool.target
    if pool.options:
        mount = ElementTree.SubElement(root, f"{{{FS}}}mount_opts")
        for option in pool.options:
            ElementTree.SubElement(mount, f"{{{FS}}}option", name=option)
    return ElementTree.tostring(root, encoding="unicode")


def parse(text: str) -> LibvirtPool:
    """The same parts of a definition that libvirt prints."""
    root = ElementTree.fromstring(text)  # noqa: S314  # libvirt's own output

    def attribute(path: str, name: str) -> str:
        node = root.find(path)
        return "" if node is None else node.get(name, "")

    return LibvirtPool(
        name=root.findtext("name") or "",
        kind=root.get("type", ""),
        format=attribute("source/format", "type"),
        host=attribute("source/host", "name"),
        folder=attribute("source/dir", "path"),
        target=root.findtext("target/path") or "",
        options=tuple(option.get("name", "") for option in root.iterfind(f"{{{FS}}}mount_opts/{{{FS}}}option")),
    )


def require_ours(wanted: LibvirtPool, found: LibvirtPool) -> None:
    """Raise RefusedError when a pool of that name is not one that Trivet could have made. Pure."""
    if found.kind != "netfs" or Path(found.target) != Path(wanted.target) or found.folder != wanted.folder:
        raise RefusedError(
            f"libvirt has a pool {found.name} already, which is another one "
            f"({found.kind}, {found.folder or 'no folder'} at {found.target or 'no target'})",
            hint=f"nothing was changed; rename or remove it: virsh pool-undefine {found.name}",
        )


class LibvirtRegistrar:
    """The registrar `libvirt`."""

    def look(self, domain: Domain) -> State:
        with connected(f"libvirt pool {domain.name}") as connection:
            pool = _find(connection, domain.name)
            if pool is None:
                return "missing"
            return "active" if pool.isActive() and is_usable(domain) else "inactive"

    def register(self, domain: Domain, report: Callable[[str], None]) -> None:
        start(UNIT)
        with connected(f"libvirt pool {domain.name}") as connection:
            _register(connection, domain, report)


def registrar() -> LibvirtRegistrar:
    """This module's registrar."""
    return LibvirtRegistrar()


def is_usable(domain: Domain) -> bool:
    """Whether the target is a living Gluster mount: libvirt goes on calling a dead one active."""
    mount = mounted_at(domain.target)
    if mount is None or mount.kind != "fuse.glusterfs":
        return False
    try:
        os.statvfs(domain.target)
    except OSError as error:
        log.info("%s: %s", domain.target, error.strerror)
        return False
    return True


def is_dead(domain: Domain) -> bool:
    """Whether the target is no living mount, and stays so: one that lost all bricks for a moment looks the same."""
    for _ in range(RECONNECT_LOOKS):
        if is_usable(domain):
            return False
        if mounted_at(domain.target) is None:
            return True
        time.sleep(RECONNECT_PAUSE_S)
    return True


def _register(connection: libvirt.virConnect, domain: Domain, report: Callable[[str], None]) -> None:
    wanted = wanted_pool(domain)
    pool = _find(connection, domain.name)
    if pool is not None:
        found = parse(str(pool.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE)))
        require_ours(wanted, found)
        if found != wanted:
            report(f"correcting the libvirt pool {domain.name}")
            pool = connection.storagePoolDefineXML(_with_uuid(wanted, str(pool.UUIDString())), 0)
    else:
        report(f"defining the libvirt pool {domain.name}")
        pool = connection.storagePoolDefineXML(render(wanted), 0)
    if not pool.autostart():
        pool.setAutostart(1)
    if pool.isActive() and is_dead(domain):
        # The mount died under it, with its client or at a start before glusterd: take it down and mount anew.
        report(f"the mount of {domain.name} is dead: starting its pool again")
        pool.destroy()
    if not pool.isActive():
        report(f"starting the libvirt pool {domain.name}")
        make_target(domain.target)
        pool.create(0)
        pool.refresh(0)


def make_target(target: Path) -> None:
    """The folders to the mount: passable for the user that QEMU runs as, which opens images by their path."""
    DOMAINS.mkdir(parents=True, exist_ok=True)
    DOMAINS.chmod(0o755)
    if not target.exists():
        target.mkdir(mode=0o755)


def _with_uuid(pool: LibvirtPool, uuid: str) -> str:
    root = ElementTree.fromstring(render(pool))  # noqa: S314  # our own text
    ElementTree.SubElement(root, "uuid").text = uuid
    return ElementTree.tostring(root, encoding="unicode")


def _find(connection: libvirt.virConnect, name: str) -> libvirt.virStoragePool | None:
    return next((pool for pool in connection.listAllStoragePools(0) if pool.name() == name), None)
