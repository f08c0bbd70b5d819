"""Nodes made of namespaces: a switch, machines on it, their disks, and nothing left of them afterwards."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GLUSTERD_OPTIONS = ROOT / "elements/trivet-gluster/trivet-files/etc/glusterfs/glusterd.vol"
CHRONY_CONF = ROOT / "elements/trivet-time/trivet-files/etc/chrony/chrony.conf"
"""The image's own."""
NODE_PATH = f"{HERE / 'standins'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SUBNET = "10.91.7"
PR_SET_PDEATHSIG = 1
NO_CLOCK = ("setpriv", "--bounding-set=-sys_time", "--inh-caps=-sys_time")
"""Namespaces share the machine's clock: nothing in a node may set it, whatever it tries."""
LIBVIRT_WITHOUT_SYSTEMD = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
seccomp_sandbox = 0
stdio_handler = "file"
"""


class LabError(AssertionError):
    """The test machine can't give what a test needs; it fails, it never skips."""


def command(*argv: str | Path, check: bool = True, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command of the harness; a failure shows its whole output."""
    done = subprocess.run(
        [str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s
    )
    if check and done.returncode != 0:
        raise LabError(
            f"{shlex.join(str(a) for a in argv)} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done


def die_with_parent() -> None:
    """In a child: be killed when the test process ends in any way, so that namespaces never outlive it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class LoopDisk:
    """A disk: a sparse file behind a loop device of our own, which detaches itself when nobody holds it any more."""

    file: Path
    device: str
    hold: int

    @classmethod
    def make(cls, file: Path, size_bytes: int) -> LoopDisk:
        with file.open("wb") as image:
            image.truncate(size_bytes)
        device = command("losetup", "--find", "--show", file).stdout.strip()
        disk = cls(file, device, os.open(device, os.O_RDONLY | os.O_CLOEXEC))
        # Detached while it is held: the kernel does so at the last close, even if this process is killed.
        command("losetup", "--detach", device)
        return disk

    def drop(self) -> None:
        os.close(self.hold)
        self.file.unlink()


@dataclass
class Node:
    """A machine. Its folder survives power-off; its namespaces and everything in /run do not."""

    name: str
    number: int
    folder: Path
    switch: Switch
    disks: list[LoopDisk] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    pid: int = 0

    @property
    def address(self) -> str:
        return f"{SUBNET}.{self.number}"

    @property
    def mac(self) -> str:
        return f"02:91:07:00:00:{self.number:02x}"

    def power_on(self) -> None:
        """Make the namespaces, connect to the switch, give the interface its address."""
        assert self.process is None
        self.folder.mkdir(exist_ok=True)
        libvirt = self.folder / "etc" / "libvirt"
        libvirt.mkdir(parents=True, exist_ok=True)
        (libvirt / "qemu.conf").write_text(LIBVIRT_WITHOUT_SYSTEMD)
        # No name server: without this each unknown name would cost half a minute.
        (self.folder / "etc" / "resolv.conf").write_text("")
        gluster = self.folder / "etc" / "glusterfs"
        gluster.mkdir(exist_ok=True)
        shutil.copy(GLUSTERD_OPTIONS, gluster)
        (libvirt / "libvirtd.conf").write_text('auth_unix_rw = "none"\nauth_unix_ro = "none"\n')
        chrony = self.folder / "etc" / "chrony"
        chrony.mkdir(exist_ok=True)
        (chrony / "chrony.conf").write_bytes(CHRONY_CONF.read_bytes())
        machine_id = self.folder / "etc" / "machine-id"
        if not machine_id.exists():
            machine_id.write_text(f"{uuid4().hex}\n")
        spaces = ["--mount", "--propagation", "private", "--uts", "--ipc", "--net", "--pid", "--mount-proc"]
        argv = [*NO_CLOCK, "unshare", *spaces, "--fork", "--kill-child", sys.executable, HERE / "init.py"]
        complaints = self.folder / "init.log"
        with complaints.open("wb") as log:
            self.process = subprocess.Popen(
                [str(a) for a in (*argv, self.name, self.folder, *(disk.device for disk in self.disks))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if said.strip() != "ready":
            raise LabError(f"node {self.name} did not start; it needs root and namespaces:\n{complaints.read_text()}")
        self.pid = child_of(self.process.pid)
        self.switch.connect(self)

    def power_off(self) -> None:
        """Pull the plug: pid 1 is killed, and with it everything in the node."""
        if self.process is None:
            return
        os.kill(self.pid or self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None

    def argv(self, *argv: str | Path) -> list[str]:
        """What runs `argv` inside the node."""
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid"]
        setting = ["env", "-i", f"PATH={NODE_PATH}", "HOME=/root", "LC_ALL=C", "TERM=dumb"]
        inside = (*NO_CLOCK, *setting, *(str(a) for a in argv))
        return ["nsenter", f"--target={self.pid}", *spaces, "--wdns=/", *inside]

    def run(self, *argv: str | Path, check: bool = True, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command in the node to its end."""
        return command(*self.argv(*argv), check=check, timeout_s=timeout_s)

    def read(self, path: str | Path) -> str | None:
        """A file's text as the node sees it, or None."""
        try:
            return Path(f"/proc/{self.pid}/root{path}").read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, path: str | Path, data: bytes) -> None:
        target = Path(f"/proc/{self.pid}/root{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def add_disk(self, size_bytes: int) -> LoopDisk:
        """Attach a blank disk."""
        disk = LoopDisk.make(self.folder.with_name(f"{self.name}-disk{len(self.disks)}.img"), size_bytes)
        self.disks.append(disk)
        if self.process is not None:
            number = Path(disk.device).stat().st_rdev
            self.run("mknod", disk.device, "b", str(os.major(number)), str(os.minor(number)))
            name = Path(disk.device).name
            self.run("ln", "-s", f"../devices/virtual/block/{name}", f"/sys/block/{name}")
        return disk


@dataclass
class Switch:
    """A bridge in a network namespace of its own, so that nothing of it is seen on the host."""

    process: subprocess.Popen[bytes]
    cabled: set[int] = field(default_factory=set)
    """Nodes that were connected once."""

    @classmethod
    def make(cls) -> Switch:
        argv = ["unshare", "--net", "sh", "-c", "echo ready && exec sleep infinity"]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True, preexec_fn=die_with_parent)
        assert process.stdout is not None
        if process.stdout.readline().strip() != b"ready":
            raise LabError("no network namespace can be made; the tests need root")
        switch = cls(process)
        # Without a querier a snooping bridge would soon stop passing multicast.
        switch.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
        switch.ip("link", "set", "br0", "up")
        return switch

    def ip(self, *words: str, check: bool = True) -> None:
        command("nsenter", f"--target={self.process.pid}", "--net", "ip", *words, check=check)

    def connect(self, node: Node) -> None:
        port = f"port{node.number}"
        if node.number in self.cabled:  # the kernel ends the namespace of a node that was killed in its own time
            self.ip("link", "delete", port, check=False)
        self.cabled.add(node.number)
        peer = ("peer", "name", "eth0", "address", node.mac, "netns", str(node.pid))
        self.ip("link", "add", port, "type", "veth", *peer)
        self.ip("link", "set", port, "master", "br0", "up")
        node.run("ip", "link", "set", "eth0", "up")
        node.run("ip", "address", "add", f"{node.address}/24", "brd", "+", "dev", "eth0")
        node.run("ip", "route", "add", "default", "via", f"{SUBNET}.254")

    def drop(self) -> None:
        self.process.kill()
        self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()


@dataclass
class Lab:
    """Nodes on one switch, in one folder."""

    folder: Path
    switch: Switch
    nodes: list[Node] = field(default_factory=list)

    def add_node(self, name: str, *, disks: tuple[int, ...] = ()) -> Node:
        """A machine with blank disks of those sizes, powered on."""
        node = Node(name, len(self.nodes) + 1, self.folder / name, self.switch)
        self.nodes.append(node)
        for size_bytes in disks:
            node.add_disk(size_bytes)
        node.power_on()
        return node


@contextmanager
def lab() -> Iterator[Lab]:
    """A lab that is gone afterwards, whatever happened in between, and proves it."""
    require_host()
    folder = Path(tempfile.mkdtemp(prefix=f"trivet-netns-{os.getpid()}-", dir="/var/tmp"))
    made: list[LoopDisk] = []
    with ExitStack() as cleanup:
        cleanup.callback(require_nothing_left, folder, made)
        cleanup.callback(shutil.rmtree, folder)
        switch = Switch.make()
        cleanup.callback(switch.drop)
        place = Lab(folder, switch)
        cleanup.callback(drop_nodes, place, made)
        yield place


def drop_nodes(place: Lab, made: list[LoopDisk]) -> None:
    """Power off every node and detach every disk, even when one of them fails."""
    with ExitStack() as cleanup:
        for node in place.nodes:
            for disk in node.disks:
                made.append(disk)
                cleanup.callback(disk.drop)
        for node in place.nodes:
            cleanup.callback(node.power_off)


LEFT_LIMIT_S = 120.0
"""A killed node's mounts, and with them its loop devices, go when the kernel gets round to it."""


def require_nothing_left(folder: Path, made: list[LoopDisk]) -> None:
    """Fail when a mount, a loop device or a process of the lab outlives it."""
    deadline_s = time.monotonic() + LEFT_LIMIT_S
    while left := left_over(folder, made):
        if time.monotonic() > deadline_s:
            raise LabError(f"left over of {folder}: {', '.join(left)}")
        time.sleep(0.2)


def left_over(folder: Path, made: list[LoopDisk]) -> list[str]:
    """What there still is of a lab, in words."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    loops = [d.device for d in made if f"{folder}/" in command("losetup", "--list", d.device, check=False).stdout]
    processes = [str(pid) for pid in Path("/proc").glob("[0-9]*") if str(folder).encode() in cmdline(pid)]
    return [*mounts, *loops, *processes, *(["its folder"] if folder.exists() else [])]


def cmdline(pid: Path) -> bytes:
    try:
        return (pid / "cmdline").read_bytes()
    except OSError:
        return b""


def child_of(pid: int) -> int:
    """The only child of a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    if len(children) != 1:
        raise LabError(f"process {pid} has the children {children}, not one")
    return int(children[0])


def require_host() -> None:
    """Fail with the names of what this machine lacks."""
    if os.geteuid() != 0:
        raise LabError("namespaced nodes need root")
    programs = ("glusterd", "gluster", "libvirtd", "virsh", "mkfs.xfs", "ip", "nft")
    programs += ("nsenter", "unshare", "losetup", "ss")
    programs += ("chronyd", "chronyc", "setpriv", "gcc", "dnsmasq")
    missing = [p for p in programs if shutil.which(p, path=NODE_PATH) is None]
    if missing:
        raise LabError(f"missing programs: {', '.join(missing)}; debian-packages.txt names their packages")
