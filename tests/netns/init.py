"""Pid 1 of a namespaced node: makes the node's own view of the file system, then reaps orphans until it is killed.

Started as `python init.py HOSTNAME FOLDER [DEVICE ...]` in new mount, UTS, IPC, network and pid namespaces. FOLDER
keeps what survives a power-off: the upper layers of /etc, /root, /usr/lib/ssl and /var/lib, and /var/log. Of the loop
devices only those named are there for the node. As on the image, the packet filter stands before the network is up.
Says `ready` on standard output.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from firstboot.paths import PACKET_FILTER

LAYERED = ("/etc", "/root", "/usr/lib/ssl", "/var/lib")
TMPFS = ("/run", "/srv", "/var/cache/libvirt", "/var/tmp")
SYSCTL = Path(__file__).parents[2] / "elements/trivet-gluster/trivet-files/usr/lib/sysctl.d/60-trivet-gluster.conf"
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
FUSE = (10, 229)
DMI_UUID = Path("/sys/class/dmi/id/product_uuid")


def main(host_name: str, folder: Path, disks: list[str]) -> None:
    """Become the node."""
    socket.sethostname(host_name)
    for program in Path("/usr/lib").glob("*/glusterfs/gsyncd"):
        hide_program(folder, program)
    for lower in LAYERED:
        upper, work = folder / lower.strip("/").replace("/", "-"), folder / f"work{lower.replace('/', '-')}"
        upper.mkdir(parents=True, exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        call("mount", "-t", "overlay", "overlay", "-o", options, lower)
    (folder / "log").mkdir(exist_ok=True)
    call("mount", "--bind", str(folder / "log"), "/var/log")
    # A new sysfs shows this network namespace's interfaces.
    call("mount", "-t", "sysfs", "sysfs", "/sys")
    hide_disks({Path(disk).name for disk in disks})
    hide_firmware(folder / "product_uuid")
    make_dev(folder / "dev", disks)
    for point in TMPFS:
        Path(point).mkdir(parents=True, exist_ok=True)
        call("mount", "-t", "tmpfs", "tmpfs", point)
    settle_network()
    call("ip", "link", "set", "lo", "up")
    for service in ("glusterfs", "libvirt"):
        Path("/var/log", service).mkdir(exist_ok=True)
    Path("/run/gluster").mkdir(exist_ok=True)
    print("ready", flush=True)
    os.close(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        signal.sigwait({signal.SIGCHLD})
        while reap():
            pass


def settle_network() -> None:
    """What systemd-sysctl.service and trivet-packetfilter.service do on the image."""
    for line in SYSCTL.read_text().splitlines():
        name, is_setting, value = line.partition(" = ")
        if is_setting:
            Path("/proc/sys", *name.split(".")).write_text(value)
    if PACKET_FILTER.exists():
        call("nft", "-f", str(PACKET_FILTER))


def make_dev(making: Path, disks: list[str]) -> None:
    """Cover /dev by one that has the node's own disks alone: what is not there can't be written to by mistake."""
    making.mkdir(exist_ok=True)
    numbers = {name: Path(name).stat().st_rdev for name in disks}
    call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(making))
    for name, (major, minor) in {**DEVICES, "fuse": FUSE}.items():
        os.mknod(making / name, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
        (making / name).chmod(0o666)
    for name, number in numbers.items():
        os.mknod(making / Path(name).name, 0o660 | stat.S_IFBLK, number)
    for name, target in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        (making / name).symlink_to(f"/proc/self/fd{target}")
    (making / "ptmx").symlink_to("pts/ptmx")
    for name in ("pts", "shm"):
        (making / name).mkdir()
    call("mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=620", "devpts", str(making / "pts"))
    call("mount", "-t", "tmpfs", "tmpfs", str(making / "shm"))
    call("mount", "--move", str(making), "/dev")


def hide_firmware(own: Path) -> None:
    """Give the node a system UUID of its own, where the machine has one."""
    if DMI_UUID.exists():
        own.touch()
        own.write_text(own.read_text() or f"{uuid4()}\n")
        call("mount", "--bind", str(own), str(DMI_UUID))


def hide_disks(own: set[str]) -> None:
    """Leave of the loop devices only the node's own in sysfs, where lsblk looks; the system disk stays in sight."""
    block = Path("/sys/block")
    seen = {link.name: link.readlink() for link in block.iterdir()}
    call("mount", "-t", "tmpfs", "tmpfs", str(block))
    for name, target in seen.items():
        if name in own or not name.startswith("loop"):
            (block / name).symlink_to(target)


def hide_program(folder: Path, program: Path) -> None:
    """Hide geo-replication, which the image has not either: asking it costs each glusterd seconds."""
    without = folder / "without"
    without.mkdir(exist_ok=True)
    if not (without / program.name).exists():
        os.mknod(without / program.name, stat.S_IFCHR, os.makedev(0, 0))  # overlayfs: not there
    options = f"lowerdir={without}:{program.parent}"
    call("mount", "-t", "overlay", "overlay", "-o", options, str(program.parent))


def call(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=2)


def reap() -> bool:
    """Take one dead child, if there is one."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
