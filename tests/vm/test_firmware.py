"""The image boots under BIOS and under UEFI, without a seed: it says so, and opens nothing but ssh."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

import pexpect
import pytest
from pexpect.fdpexpect import fdspawn

from builder.lab import daemon, dhcp, down, emulator, image, up
from builder.lab.console import open_console
from builder.lab.hypervisor import connected
from builder.lab.probe import choose
from builder.lab.state import LabFolder, LabState, lab_folder, save
from builder.lab.view import View
from firstboot.plan import Plan
from tests.vm.cli import PROFILE
from tests.vm.conftest import keep_logs
from tests.vm.stranger import stranger

QUIET_LIMIT_S = 600.0
"""A console that is silent for so long has stopped; a boot under emulation takes 90 s, two at once 190 s."""

BOOT_LIMIT_S = 1800.0

UNCLAIMED = "trivet: unclaimed phase=unclaimed"
Firmware = Literal["bios", "uefi"]


@dataclass(frozen=True)
class Machine:
    """One machine without a seed, just switched on."""

    folder: LabFolder
    state: LabState


def power_on(firmware: Firmware, plan: Plan, image_folder: Path, undo: ExitStack) -> Machine:
    """A lab of one node whose seed was forgotten."""
    folder = lab_folder(f"fw-{firmware}-{os.getpid()}")
    source = image.find_image(image_folder, plan.name)
    assert source is not None
    wish = up.Wish(plan, PROFILE.parent, image_folder, Path("/nonexistent"), nodes=1, firmware=firmware)
    uri = daemon.private_uri(folder.libvirt)
    acceleration, view = choose("auto"), View(("node1",))
    qemu = emulator.choose(acceleration.kind, private_daemon=True, view=view)
    state = up.design(folder.name, wish, source, dhcp.routed_networks(), acceleration, uri, True, qemu)
    folder.path.mkdir(mode=0o711, parents=True)
    undo.callback(down.take_down, folder, keep_site=True)
    undo.callback(keep_logs, folder)
    save(folder, state)
    up.make_ground(folder, state, view)
    state = up.make_files(folder, state, view)
    with connected(state.libvirt_uri) as guests:
        assert up.power_on(folder, state, state.node(1), guests)
    return Machine(folder, state)


@pytest.fixture(scope="module")
def machines(plan: Plan, image_folder: Path) -> Iterator[dict[Firmware, Machine]]:
    """Both firmwares boot at the same time, each on a bridge of its own."""
    with ExitStack() as undo:
        yield {
            "bios": power_on("bios", plan, image_folder, undo),
            "uefi": power_on("uefi", plan, image_folder, undo),
        }


def see(seen: Machine, wanted: set[str]) -> None:
    """Wait until the console has shown all of these, in any order, for as long as it goes on printing."""
    missing, end = set(wanted), time.monotonic() + BOOT_LIMIT_S
    shown = ""
    # A console that is joined but not read holds the machine up: it is left as soon as it has said enough.
    with open_console(seen.folder.node(1).console_socket) as line:
        console = fdspawn(
            line.fileno(), timeout=QUIET_LIMIT_S, encoding="utf-8", codec_errors="replace", use_poll=True
        )
        while missing:
            found = console.expect_exact([*sorted(missing), "\n", pexpect.TIMEOUT, pexpect.EOF])
            shown = f"{shown}{console.before or ''}\n"[-3000:]
            if found < len(missing):
                missing.discard(sorted(missing)[found])
            elif found > len(missing) or time.monotonic() > end:
                raise AssertionError(f"the console does not show {sorted(missing)}; it ends with:\n{shown}")


@pytest.fixture(scope="module")
def boots(machines: dict[Firmware, Machine]) -> Iterator[dict[Firmware, Future[None]]]:
    """Both consoles are read at the same time."""
    with ThreadPoolExecutor(len(machines)) as pool:
        yield {name: pool.submit(see, seen, {UNCLAIMED, "login:"}) for name, seen in machines.items()}


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_the_image_boots_and_says_that_it_is_unclaimed(
    boots: dict[Firmware, Future[None]], firmware: Firmware
) -> None:
    boots[firmware].result()


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_the_firmware_is_the_one_that_was_asked_for(
    machines: dict[Firmware, Machine], boots: dict[Firmware, Future[None]], firmware: Firmware
) -> None:
    wait([boots[firmware]])
    log = machines[firmware].folder.node(1).serial_log.read_bytes()
    assert (b"BdsDxe: starting" in log) == (firmware == "uefi")
    assert b"Booting `Trivet" in log


def address_of(asked: Machine) -> IPv4Address:
    end = time.monotonic() + QUIET_LIMIT_S
    while time.monotonic() < end:
        known = dhcp.leases(asked.folder)
        if known:
            return known[asked.state.node(1).mac]
        time.sleep(1)
    pytest.fail("the unclaimed node asked for no address by DHCP")


def test_an_unclaimed_node_opens_nothing_but_ssh(
    machines: dict[Firmware, Machine], boots: dict[Firmware, Future[None]]
) -> None:
    """Seen from another machine on the bridge, all 65535 TCP ports."""
    boots["bios"].result()
    unclaimed = machines["bios"]
    with stranger(unclaimed.state) as other:
        ports = other.open_ports(address_of(unclaimed))
    print(f"open TCP ports of an unclaimed node: {ports}")
    assert ports == [22]
