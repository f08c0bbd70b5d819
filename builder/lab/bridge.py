"""The lab's isolated bridge and its DHCP server: no route leads out of it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from builder.lab.process import end_process, running_pid
from builder.lab.state import LabFolder, LabState
from builder.lab.template import render
from firstboot.files import write_atomic
from firstboot.run import run

LINKS = Path("/sys/class/net")


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


def build(state: LabState) -> None:
    """Make the bridge and give the workstation its address on it; one that stands is brought to the same state."""
    if not (LINKS / state.bridge).exists():
        hint = "making bridges needs root: sudo trivet lab up ..."
        run(["ip", "link", "add", "name", state.bridge, "type", "bridge"], timeout_s=10, hint=hint)
    settings = LINKS / state.bridge / "bridge"
    # A bridge with snooping but no querier drops multicast after some minutes, and with it mDNS.
    (settings / "multicast_snooping").write_text("0")
    (settings / "stp_state").write_text("0")
    # Even where the host forwards packets for others, none from here leave, and no router out there configures it.
    for setting in ("ipv4/conf/{}/forwarding", "ipv6/conf/{}/forwarding", "ipv6/conf/{}/accept_ra"):
        with suppress(FileNotFoundError):
            Path("/proc/sys/net", setting.format(state.bridge)).write_text("0")
    address = f"{state.host_address}/{state.subnet.prefixlen}"
    run(["ip", "address", "replace", address, "dev", state.bridge], timeout_s=10)
    run(["ip", "link", "set", "dev", state.bridge, "mtu", str(state.plan.network.mtu), "up"], timeout_s=10)


def serve_dhcp(folder: LabFolder, state: LabState) -> None:
    """Start the DHCP server unless it runs. It answers on the lab's bridge alone and offers no router, no DNS."""
    if _dhcp_pid(folder) is not None:
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


def stop_dhcp(folder: LabFolder) -> None:
    """End the DHCP server and wait until it is gone."""
    pid = _dhcp_pid(folder)
    if pid is not None:
        end_process(pid)


def remove(bridge: str) -> None:
    """Remove the bridge; one that is not there is fine."""
    if (LINKS / bridge).exists():
        run(["ip", "link", "delete", "dev", bridge], timeout_s=10)


def _dhcp_pid(folder: LabFolder) -> int | None:
    return running_pid(folder.dhcp / "pid", "dnsmasq", folder.dhcp)
