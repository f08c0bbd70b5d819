"""The lab's DHCP server, and the addresses that it gave out; no route leads out of the lab."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from builder.lab.process import end_process, running_pid
from builder.lab.state import LabFolder, LabState
from builder.lab.template import render
from firstboot.files import write_atomic
from firstboot.run import run


@dataclass(frozen=True)
class Lease:
    """One line of dnsmasq's lease file."""

    mac: str
    address: IPv4Address


def parse_routes(text: str) -> list[IPv4Network]:
    """The destinations in `ip -json route show table all`, without the default route."""
    networks = []
    for route in json.loads(text or "[]"):
        destination = str(route.get("dst", "default"))
        if destination != "default" and ":" not in destination:
            networks.append(IPv4Network(destination, strict=False))
    return networks


def parse_leases(text: str) -> list[Lease]:
    """dnsmasq(8), --dhcp-leasefile: expiry, MAC, address, name, client id; lines of DHCPv6 are passed over."""
    leases = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 4 and fields[1].count(":") == 5 and "." in fields[2]:
            leases.append(Lease(fields[1].lower(), IPv4Address(fields[2])))
    return leases


def routed_networks() -> list[IPv4Network]:
    """Every IPv4 network that this machine has a route to."""
    return parse_routes(run(["ip", "-json", "-4", "route", "show", "table", "all"], timeout_s=10).stdout)


def serve(folder: LabFolder, state: LabState) -> None:
    """Start the DHCP server unless it runs, or nothing asks for it. It answers on the lab's own links alone."""
    if _pid(folder) is not None or not any(port.serves_dhcp for port in state.ports):
        return
    folder.dhcp.mkdir(exist_ok=True, mode=0o755)
    config = folder.dhcp / "dnsmasq.conf"
    write_atomic(config, render("dnsmasq.conf.j2", state=state, dhcp=folder.dhcp))
    run(
        ["dnsmasq", f"--conf-file={config}"],
        timeout_s=15,
        hint="another DHCP server may hold port 67 of every address",
    )


def leases(folder: LabFolder) -> dict[str, IPv4Address]:
    """The addresses given out, by MAC."""
    try:
        text = (folder.dhcp / "leases").read_text()
    except FileNotFoundError:
        return {}
    return {lease.mac: lease.address for lease in parse_leases(text)}


def stop(folder: LabFolder) -> None:
    """End the DHCP server and wait until it is gone."""
    pid = _pid(folder)
    if pid is not None:
        end_process(pid)


def _pid(folder: LabFolder) -> int | None:
    return running_pid(folder.dhcp / "pid", "dnsmasq", folder.dhcp)
