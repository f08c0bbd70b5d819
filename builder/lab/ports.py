"""This machine's places in a lab's networks: which there are, and making them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

from builder.lab import accessport, addressing, wiring
from builder.lab.process import end_process, running_pid
from builder.lab.state import LabFolder, PortRecord, SwitchRecord
from firstboot.plan import Interface, Plan
from firstboot.run import run

LINKS = Path("/sys/class/net")


def design(lab: str, plan: Plan, used: Iterable[IPv4Network]) -> tuple[PortRecord, ...]:
    """The place in the management network, and one in the storage network where DHCP is to be served there."""
    network, taken = plan.network, list(used)
    subnet: addressing.Subnet | None = None
    if network.method == "static":
        subnet = addressing.static_subnet(plan, taken)
    elif network.method == "dhcp":
        subnet = addressing.choose_subnet(lab, taken)
    serves = network.method == "dhcp"
    ports = [_port(lab, plan, 0, network.interface, network.vlan, network.mtu, subnet, serves)]
    storage = network.storage
    rule = (storage.interface or network.interface) if storage is not None else None
    if storage is not None and rule is not None and storage.method == "dhcp" and _switch(lab, plan, rule) is not None:
        taken += [subnet.network] if subnet else []
        offered = addressing.choose_subnet(f"{lab}/storage", taken)
        ports.append(_port(lab, plan, 1, rule, storage.vlan, storage.mtu, offered, True))
    return tuple(ports)


def build(folder: LabFolder, lab_switches: Iterable[SwitchRecord], lab_ports: Iterable[PortRecord]) -> None:
    """Make the switches and this machine's places at them; what stands is brought to the same state."""
    for switch in lab_switches:
        _build_switch(switch)
    for port in lab_ports:
        if port.vlan is not None:
            _open_access_port(folder, port)
        _seclude(port.link)
        if port.address is not None and port.subnet is not None:
            address = f"{port.address}/{port.subnet.prefixlen}"
            run(["ip", "address", "replace", address, "dev", port.link], timeout_s=10)
        run(["ip", "link", "set", "dev", port.link, "mtu", str(port.mtu), "up"], timeout_s=10)


def close(folder: LabFolder) -> None:
    """End the access ports; their links go with them."""
    for pid_file in folder.ports.glob("*.pid"):
        pid = running_pid(pid_file, Path(sys.executable).name, pid_file)
        if pid is not None:
            end_process(pid)


def remove(bridges: Iterable[str]) -> None:
    """Remove these bridges; one that is not there is fine."""
    for bridge in bridges:
        if (LINKS / bridge).exists():
            run(["ip", "link", "delete", "dev", bridge], timeout_s=10)


def standing(lab: str) -> list[str]:
    """The bridges of a lab whose state is lost."""
    name = addressing.bridge_name(lab)
    return sorted(link.name for link in LINKS.iterdir() if link.name == name or link.name.startswith(f"{name}-"))


def _port(
    lab: str,
    plan: Plan,
    index: int,
    rule: Interface,
    vlan: int | None,
    mtu: int,
    subnet: addressing.Subnet | None,
    serves_dhcp: bool,
) -> PortRecord:
    switch = _switch(lab, plan, rule)
    assert switch is not None, "wiring.check refuses management without a switch"
    return PortRecord(
        switch=switch,
        link=switch.bridge if vlan is None else addressing.port_name(lab, index),
        vlan=vlan,
        mtu=switch.mtu if vlan is None else mtu,
        subnet=subnet.network if subnet else None,
        address=subnet.host if subnet else None,
        serves_dhcp=serves_dhcp,
    )


def _switch(lab: str, plan: Plan, rule: Interface) -> SwitchRecord | None:
    """The switch that an interface of the plan is at; none for one that is cabled."""
    switches = iter(wiring.switches(lab, plan.network))
    found = {wire.rule: None if wire.cabled else next(switches) for wire in wiring.wires(plan.network)}
    return found[rule]


def _build_switch(switch: SwitchRecord) -> None:
    if not (LINKS / switch.bridge).exists():
        hint = "making bridges needs root: sudo trivet lab up ..."
        run(["ip", "link", "add", "name", switch.bridge, "type", "bridge"], timeout_s=10, hint=hint)
    settings = LINKS / switch.bridge / "bridge"
    # A bridge with snooping but no querier drops multicast after some minutes, and with it mDNS.
    (settings / "multicast_snooping").write_text("0")
    (settings / "stp_state").write_text("0")
    _seclude(switch.bridge)
    words = ["address", switch.mac, "mtu", str(switch.mtu), "up"]
    run(["ip", "link", "set", "dev", switch.bridge, *words], timeout_s=10)


def _seclude(link: str) -> None:
    """Even where this machine forwards packets, none from here leave, and no router in there configures it."""
    for setting in ("ipv4/conf/{}/forwarding", "ipv6/conf/{}/forwarding", "ipv6/conf/{}/accept_ra"):
        with suppress(FileNotFoundError):
            Path("/proc/sys/net", setting.format(link)).write_text("0")


def _open_access_port(folder: LabFolder, port: PortRecord) -> None:
    folder.ports.mkdir(exist_ok=True)
    pid_file = folder.ports / f"{port.link}.pid"
    if running_pid(pid_file, Path(sys.executable).name, pid_file) is not None:
        return
    words = [port.switch.bridge, port.switch.mac, port.link, str(port.vlan), str(pid_file)]
    run([sys.executable, "-m", accessport.__name__, *words], timeout_s=60)
