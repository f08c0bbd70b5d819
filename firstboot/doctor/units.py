"""Services: which should run on this node by now, and what systemd says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned
from firstboot.plan import Mode
from firstboot.run import run

ASK_LIMIT_S = 60
HINT = "is systemd this machine's init? Then: systemctl is-system-running"
PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "Result", "NRestarts")
AGENT = "trivet-firstboot.service"
SOCKETS = {"libvirtd.service": "libvirtd.socket"}
"""Services that end when idle, and the socket that starts them again."""
ALWAYS = (AGENT, "ssh.service", "chrony.service", "systemd-networkd.service")


@dataclass(frozen=True)
class Unit:
    """A unit as systemd has it, in the words of systemctl(1); `restarts` are those that nobody asked for."""

    name: str
    load: str
    active: str
    sub: str
    result: str
    restarts: int


def check(node: Node) -> Iterator[Judgement]:
    """Each unit of the node."""
    due = wanted(node)
    named = dict.fromkeys((*due, "glusterd.service", "libvirtd.service"))
    found = {unit.name: unit for unit in read_units((*named, *SOCKETS.values()))}
    for name in named:
        if name in found:
            yield judge(found[name], due=name in due, socket=found.get(SOCKETS.get(name, "")))


def wanted(node: Node) -> tuple[str, ...]:
    """The units that should run: glusterd once its phase has begun, libvirtd where there are guests."""
    mode = node.seed.plan.mode if node.seed is not None else None
    gluster = mode in (Mode.GLUSTER, Mode.BOTH) and node.entered("pool")
    virt = mode in (Mode.VIRT, Mode.BOTH)
    return (*ALWAYS, *(["glusterd.service"] if gluster else []), *(["libvirtd.service"] if virt else []))


def read_units(names: tuple[str, ...]) -> tuple[Unit, ...]:
    """Ask systemd of all of them at once."""
    done = run(
        ["systemctl", "show", "--property", ",".join(PROPERTIES), "--", *names], timeout_s=ASK_LIMIT_S, hint=HINT
    )
    return parse_units(done.stdout)


def parse_units(text: str) -> tuple[Unit, ...]:
    """The output of `systemctl show`: lines NAME=VALUE, a blank line between units."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        name, load, active, sub, result, restarts = (fields.get(key, "") for key in PROPERTIES)
        found.append(Unit(name, load, active, sub, result, int(restarts) if restarts.isdecimal() else 0))
    return tuple(found)


def judge(unit: Unit, *, due: bool, socket: Unit | None = None) -> Judgement:
    """A unit that should run, or one that need not."""
    about = unit.name.removesuffix(".service")
    state = f"{unit.active} ({unit.sub})"
    log = f"journalctl -u {unit.name}"
    if unit.load != "loaded":
        hint = (
            "build the image again: it lacks the package"
            if unit.load == "not-found"
            else f"systemctl cat {unit.name}"
        )
        missing = f"the unit is {unit.load or 'unknown'}"
        return failed(missing, hint, about=about) if due else skipped(f"{missing}; not needed here", about=about)
    if not due:
        return skipped(f"{state}; not needed (yet)", about=about)
    if unit.active in ("activating", "reloading"):
        return warned(state, f"it is coming up: {log}", about=about)
    if unit.active == "inactive" and socket is not None and socket.active == "active":
        return passed(f"{state}, {socket.name} starts it on demand", about=about)
    if unit.active != "active":
        result = f", last result: {unit.result}" if unit.result not in ("", "success") else ""
        return failed(f"{state}{result}", f"{log}; systemctl start {unit.name}", about=about)
    if unit.restarts:
        return warned(f"{state}, restarted {unit.restarts} times by systemd", f"why: {log}", about=about)
    return passed(state, about=about)
