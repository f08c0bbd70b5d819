"""libvirt's guests, typed: define, start, power off, remove. The only place of the lab that imports libvirt."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import libvirt

from firstboot.errors import TrivetError


class Power(StrEnum):
    """Whether a machine runs; `missing` = libvirt does not know it."""

    ON = "on"
    OFF = "off"
    MISSING = "missing"


class HypervisorError(TrivetError):
    """libvirt refused something."""


# By default the bindings print every error to stderr, expected ones too.
libvirt.registerErrorHandler(lambda _context, _error: None, None)


def reachable(uri: str) -> bool:
    """Whether a daemon answers at that URI."""
    try:
        libvirt.open(uri).close()
    except libvirt.libvirtError:
        return False
    return True


class Hypervisor:
    """One connection. Guests are named by their libvirt name."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self._connection = connection

    def define(self, xml: str) -> None:
        """Make the guest known, or change what is known of it."""
        with self._told("define a guest"):
            self._connection.defineXML(xml)

    def power(self, name: str) -> Power:
        guest = self._find(name)
        if guest is None:
            return Power.MISSING
        with self._told(f"ask for {name}"):
            return Power.ON if guest.isActive() else Power.OFF

    def start(self, name: str) -> None:
        """Power the guest on; one that runs is left alone."""
        guest = self._find(name)
        if guest is None:
            raise HypervisorError(f"libvirt does not know the guest {name}")
        with self._told(f"start {name}"):
            if not guest.isActive():
                guest.create()

    def power_off(self, name: str) -> None:
        """As if the plug were pulled; a guest that is off or unknown is fine."""
        guest = self._find(name)
        if guest is None:
            return
        with self._told(f"power off {name}"):
            if not guest.isActive():
                return
            try:
                guest.destroy()
            except libvirt.libvirtError:
                # A daemon that was just started may find only now that the machine had stopped.
                if guest.isActive():
                    raise

    def connect(self, name: str, mac: str, *, connected: bool) -> None:
        """Plug a running guest's network cable in, or pull it; raises HypervisorError when it does not run."""
        guest = self._find(name)
        with self._told(f"change a cable of {name}"):
            if guest is None or not guest.isActive():
                raise HypervisorError(f"{name} does not run, so its cables can't be changed")
            root = ElementTree.fromstring(guest.XMLDesc())  # noqa: S314  # libvirt's own output
            for card in root.iterfind("devices/interface"):
                found = card.find("mac")
                if found is not None and found.get("address") == mac:
                    link = card.find("link")
                    link = ElementTree.SubElement(card, "link") if link is None else link
                    link.set("state", "up" if connected else "down")
                    guest.updateDeviceFlags(ElementTree.tostring(card, "unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
                    return
        raise HypervisorError(f"{name} has no card {mac}")

    def remove(self, name: str) -> None:
        """Power off and forget the guest, its UEFI variables too; an unknown one is fine."""
        self.power_off(name)
        guest = self._find(name)
        if guest is not None:
            with self._told(f"remove {name}"):
                guest.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)

    def _find(self, name: str) -> libvirt.virDomain | None:
        try:
            return self._connection.lookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise HypervisorError(f"libvirt can't look up {name}: {error}") from error

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except libvirt.libvirtError as error:
            raise HypervisorError(f"libvirt can't {what}: {error}") from error


@contextmanager
def connected(uri: str) -> Iterator[Hypervisor]:
    """A connection for the length of the block; raises HypervisorError when no daemon answers."""
    try:
        connection = libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise HypervisorError(
            f"no libvirt daemon answers at {uri}: {error}", hint="trivet lab up starts one; see trivet lab status"
        ) from error
    try:
        yield Hypervisor(connection)
    finally:
        connection.close()
