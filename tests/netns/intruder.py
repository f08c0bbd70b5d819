"""A machine that is no member and tries to get at a member's Gluster, by every way that Gluster has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from firstboot.gluster.closing import links
from firstboot.paths import SECURE_ACCESS
from tests.netns.authority import Material
from tests.netns.namespaces import Lab, Node, die_with_parent
from tests.netns.sites import VOLUME

MOUNT = "/srv/mount"
PROBES, END = "/srv/probes", "/srv/end"
PROBE_LOOP = (
    f'while ! [ -e {END} ]; do gluster --mode=script peer probe "$1"; echo "exit code $?"; done > {PROBES} 2>&1'
)
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)"


class Intruder:
    """A machine with a glusterd of its own, first as its package starts it: open, without TLS."""

    def __init__(self, lab: Lab, name: str = "intruder") -> None:
        self.node = lab.add_node(name)
        self.node.run("sh", "-c", "while ip -6 address show dev eth0 | grep tentative; do sleep 0.1; done")
        self._loop: subprocess.Popen[bytes] | None = None
        self._start()

    def learn_names(self, member: Node) -> None:
        """Know where the bricks are: they go by the members' stable names."""
        self.node.write("/etc/hosts", (member.read("/etc/hosts") or "").encode())

    def arm(self, material: Material) -> None:
        """Go on with TLS and this certificate."""
        material.install(self.node)
        for link, target in links().items():
            self.node.run("ln", "--symbolic", "--force", target, link)
        self.node.write(SECURE_ACCESS, b"")
        self.node.run("sh", "-c", "kill $(cat /run/glusterd.pid); while pgrep -x glusterd; do sleep 0.1; done")
        self._start()

    def probe(self, address: str) -> str:
        """Try to take the machine into a pool; what glusterd said to that, having failed."""
        done = self.node.run("gluster", "--mode=script", "peer", "probe", address, check=False)
        assert done.returncode != 0, f"{address} let itself be probed: {done.stdout}"
        return done.stdout + done.stderr

    def probe_on_and_on(self, address: str) -> None:
        """Probe in a tight loop from now on."""
        argv = self.node.argv("sh", "-c", PROBE_LOOP, "sh", address)
        self._loop = subprocess.Popen(argv, start_new_session=True, preexec_fn=die_with_parent)

    def end_probes(self) -> list[str]:
        """End the loop; the exit codes of all probes."""
        assert self._loop is not None
        self.node.run("touch", END)
        self._loop.wait(timeout=180)
        said = self.node.read(PROBES) or ""
        return [line.removeprefix("exit code ") for line in said.splitlines() if line.startswith("exit code ")]

    def ask(self, address: str, *words: str) -> bool:
        """Whether the other glusterd answers a question asked as its own command line would."""
        command = ("gluster", "--mode=script", f"--remote-host={address}", *words)
        return self.node.run(*command, check=False).returncode == 0

    def mount(self, address: str) -> bool:
        """Whether the volume can be mounted and read; what was mounted is unmounted again."""
        self.node.run("mkdir", "--parents", MOUNT)
        self.node.run("mount", "-t", "glusterfs", f"{address}:/{VOLUME}", MOUNT, check=False)
        kind = self.node.run("findmnt", "--noheadings", "--output", "FSTYPE", MOUNT, check=False).stdout.strip()
        if not kind:
            return False
        read = self.node.run("ls", MOUNT, check=False).returncode == 0
        self.node.run("umount", "--lazy", MOUNT)
        return read

    def mount_log(self) -> str:
        return self.node.read(Path("/var/log/glusterfs") / f"{MOUNT.strip('/').replace('/', '-')}.log") or ""

    def connects(self, address: str, port: int) -> bool:
        """Whether TCP gets through to something that listens."""
        return connects(self.node, address, port)

    def _start(self) -> None:
        self.node.run("glusterd", "-p", "/run/glusterd.pid")
        self.node.run("sh", "-c", "until gluster pool list > /srv/pool 2>&1; do sleep 0.1; done")


def connects(node: Node, address: str, port: int) -> bool:
    """Whether TCP gets through; False only for a refusal, anything else raises."""
    done = node.run(sys.executable, "-c", CONNECT, address, str(port), check=False)
    assert done.returncode == 0 or "ConnectionRefusedError" in done.stderr, done.stderr
    return done.returncode == 0
