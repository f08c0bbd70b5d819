"""What this machine is, for the match rules of slots: MAC addresses and the serial number of its firmware."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firstboot.plan import Match

SYS = Path("/sys")


@dataclass(frozen=True)
class Machine:
    """MAC addresses in lower case, and the system's serial number."""

    macs: tuple[str, ...]
    serial: str


def read(sys: Path = SYS) -> Machine:
    """Read sysfs: links that belong to a device, and DMI."""
    macs = [
        _line(link / "address").lower()
        for link in sorted((sys / "class/net").glob("*"))
        if (link / "device").exists()
    ]
    return Machine(tuple(mac for mac in macs if mac), _line(sys / "class/dmi/id/product_serial"))


def misfit(match: Match, machine: Machine) -> str | None:
    """Why the machine may not fill a slot with this rule; none when it may. Pure."""
    if match.mac is not None and match.mac not in machine.macs:
        return f"the slot is for MAC {match.mac}, this machine has {', '.join(machine.macs) or 'none'}"
    if match.serial is not None and match.serial != machine.serial:
        return f"the slot is for serial number {match.serial}, this machine has {machine.serial or 'none'}"
    return None


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
