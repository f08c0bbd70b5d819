"""Whether guests can run under KVM here: a probe guest must reach a marker, or they run emulated.

A /dev/kvm that opens proves nothing: on some hosts firmware never gets past its first instructions. The probe boots
real firmware (SeaBIOS) and a boot sector that writes a marker to the serial port and ends QEMU.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from builder.lab.state import labs_root
from firstboot.errors import MissingError, RefusedError
from firstboot.files import write_atomic
from firstboot.model import Model
from firstboot.run import CommandError, run

MARKER = "trivet-probe"
PROBE_LIMIT_S = 40.0
"""Firmware and boot sector take under a second where KVM works."""

EXIT_PORT = 0xF4
EXIT_CODE = 0x10 << 1 | 1
"""isa-debug-exit ends QEMU with (value << 1) | 1."""

# 16-bit code at 0x7c00: wait until the UART's transmitter is empty (port 0x3fd, bit 5), write the next byte of the
# text at 0x7c26 to port 0x3f8; at the text's end write 0x10 to the exit port; halt.
_CODE = bytes.fromhex("31c08ed8be267cac84c0741288c3bafd03eca82074fbbaf80388d8eeebe9b010e6f4faf4ebfd")


class Verdict(Model):
    """What the probe found, good for one boot of the host."""

    format: Literal["trivet-kvm-probe"] = "trivet-kvm-probe"
    version: str = "1.0"
    boot_id: str
    usable: bool
    reason: str


@dataclass(frozen=True)
class ProbeRun:
    """What the probe guest left: its serial output, QEMU's messages and exit, and whether the limit ended it."""

    output: str
    messages: str
    returncode: int
    expired: bool


@dataclass(frozen=True)
class Acceleration:
    """How guests run, and why."""

    kind: Literal["kvm", "tcg"]
    reason: str


def boot_sector() -> bytes:
    """A 1 MiB disk whose first sector is the probe."""
    sector = (_CODE + MARKER.encode() + b"\n\0").ljust(510, b"\0") + b"\x55\xaa"
    return sector.ljust(1024 * 1024, b"\0")


def judge(result: ProbeRun) -> tuple[bool, str]:
    """Usable or not, and the reason in a few words."""
    if MARKER in result.output and result.returncode == EXIT_CODE:
        return True, "a probe guest ran its firmware and reached its marker"
    if result.expired:
        return False, f"a probe guest hung in its firmware (nothing in {PROBE_LIMIT_S:g} s)"
    errors = [line for line in result.messages.splitlines() if "error:" in line] or result.messages.splitlines()
    if errors:
        return False, f"a probe guest died: {errors[0].removeprefix('qemu-system-x86_64: ').strip()}"
    return False, f"a probe guest ended without its marker (exit code {result.returncode})"


def choose(wanted: Literal["auto", "kvm", "tcg"]) -> Acceleration:
    """KVM only where the probe proved it; raises RefusedError when KVM is demanded and was disproved."""
    if wanted == "tcg":
        return Acceleration("tcg", "asked for")
    verdict = probe()
    if verdict.usable:
        return Acceleration("kvm", verdict.reason)
    if wanted == "kvm":
        raise RefusedError(f"KVM does not work here: {verdict.reason}", hint="let the lab emulate: --accel auto")
    return Acceleration("tcg", f"KVM does not work here: {verdict.reason}")


def probe(*, device: Path = Path("/dev/kvm")) -> Verdict:
    """The verdict of this boot of the host, from the cache if the probe ran already."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if not device.exists():
        return Verdict(boot_id=boot_id, usable=False, reason=f"{device} is not there")
    if not os.access(device, os.R_OK | os.W_OK):
        return Verdict(boot_id=boot_id, usable=False, reason=f"{device} may not be opened by this user")
    cache = labs_root() / "kvm-probe.json"
    known = read_verdict(cache)
    if known is not None and known.boot_id == boot_id:
        return known
    usable, reason = judge(run_probe("kvm", "host"))
    verdict = Verdict(boot_id=boot_id, usable=usable, reason=reason)
    cache.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(cache, verdict.model_dump_json(indent=1) + "\n")
    return verdict


def read_verdict(cache: Path) -> Verdict | None:
    """The cached verdict; one that can't be read counts as none, since the probe is cheap."""
    try:
        return Verdict.model_validate_json(cache.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def run_probe(accelerator: str, cpu: str) -> ProbeRun:
    """Boot the probe guest to its end or its time limit."""
    with tempfile.TemporaryDirectory(prefix="trivet-probe-") as folder:
        disk = Path(folder, "probe.img")
        disk.write_bytes(boot_sector())
        argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-machine", "q35"]
        argv += ["-accel", accelerator, "-cpu", cpu, "-m", "64", "-display", "none", "-serial", "stdio"]
        argv += ["-drive", f"file={disk},format=raw,if=virtio"]
        argv += ["-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"]
        try:
            done = run(argv, timeout_s=PROBE_LIMIT_S, check=False)
        except CommandError as error:
            return ProbeRun(error.done.stdout, error.done.stderr, error.done.returncode, expired=True)
        except MissingError as error:
            raise MissingError(error.message, hint="sudo apt-get install qemu-system-x86") from error
    return ProbeRun(done.stdout, done.stderr, done.returncode, expired=False)
