"""A machine out of namespaces with the image's root and its real systemd-networkd: cards are cables to a switch."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from firstboot.seed import Seed
from tests.elements.conftest import ROOT

STANDINS = ROOT / "tests" / "netns" / "standins"
FOLDER = "/etc/systemd/network"
SETUP = """
set -eu
cd "$1"
mount -t tmpfs tmpfs .
mkdir lower upper work root
mount -o ro,loop "$2" lower
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount -t sysfs -o ro sysfs root/sys
mount -t tmpfs tmpfs root/run
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/etc/systemd/network
mkdir -p root/run/dbus root/run/systemd/netif/links root/run/systemd/netif/leases root/run/systemd/netif/lldp
cp "$3" root/run/systemctl
chmod 755 root/run/systemctl
echo 0123456789abcdef0123456789abcdef > root/run/machine-id
rm -f root/etc/machine-id
cp root/run/machine-id root/etc/machine-id
exec chroot root /bin/sh -c "$4"
"""
START = """
set -eu
chown -R systemd-network:systemd-network /run/systemd/netif
ip link set lo up
ip link add switch type bridge
ip link set switch up
dbus-daemon --system --fork --nopidfile
SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console /usr/lib/systemd/systemd-networkd > /run/networkd.log 2>&1 &
echo $! > /run/systemd-networkd.pid
until networkctl list > /dev/null 2>&1; do kill -0 $!; sleep 0.1; done
echo ready
exec sleep infinity
"""
DRIVER = """
import json, sys, time
from firstboot.context import Context
from firstboot.network import phase
from firstboot.phases import Done
from firstboot.seed import Seed
context = Context(report=lambda text: None, seed=Seed.model_validate_json(sys.stdin.read()))
end = time.monotonic() + float(sys.argv[1])
while True:
    outcome = phase.step(context)
    if isinstance(outcome, Done) or time.monotonic() > end:
        break
    time.sleep(0.5)
print(json.dumps({"done": isinstance(outcome, Done), "text": getattr(outcome, "detail", None) or outcome.reason,
    "address": context.address, "storage": context.storage_address, "faults": context.network_faults}))
"""


@dataclass(frozen=True)
class Outcome:
    """What the phase network came to: its last words, and what it told the others."""

    done: bool
    text: str
    address: str | None
    storage: str | None
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """The running machine."""

    pid: int

    def run(self, *argv: str, stdin: str = "", timeout_s: float = 60) -> str:
        """Run a program in the machine."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--root", "--wd=/", "--"]
        environment = {"PATH": "/run:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
        done = subprocess.run(
            [*enter, *argv], input=stdin, capture_output=True, text=True, timeout=timeout_s, env=environment
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def plug(self, name: str, mac: str) -> None:
        """Add a card that is connected to the switch."""
        port = f"tap-{name}"[:15]  # named as what is no card
        self.run("ip", "link", "add", name, "address", mac, "type", "veth", "peer", "name", port)
        self.run("ip", "link", "set", port, "mtu", "9000", "master", "switch", "up")

    def write(self, files: Mapping[str, str]) -> None:
        """Put these files and no others into networkd's folder."""
        self.run("sh", "-c", f"rm -f {FOLDER}/*")
        for name, text in files.items():
            self.run("sh", "-c", f"cat > {FOLDER}/{name}", stdin=text)

    def bring_up(self, seed: Seed, *, limit_s: float = 60) -> Outcome:
        """Run the image's own phase network until it is done, or for so long."""
        words = ["python3", "-c", DRIVER, str(limit_s)]
        said = json.loads(self.run(*words, stdin=seed.model_dump_json(), timeout_s=limit_s + 60))
        return Outcome(said["done"], said["text"], said["address"], said["storage"], tuple(said["faults"]))

    @contextmanager
    def dhcp_server(self, *more: str) -> Iterator[None]:
        """A DHCP server of this machine's own at the switch, with a router; it has a /24 of 192.0.2.0.

        `more` are options of dnsmasq.
        """
        self.run("ip", "address", "add", "192.0.2.250/24", "dev", "switch")
        options = ["--conf-file=/dev/null", "--port=0", "--interface=switch", "--bind-interfaces", "--pid-file="]
        options += ["--dhcp-range=192.0.2.100,192.0.2.200,1h", "--dhcp-option=3,192.0.2.254", "--leasefile-ro", *more]
        argv = ["nsenter", f"--target={self.pid}", "--net", "dnsmasq", "--keep-in-foreground", *options]
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def links(self) -> dict[str, dict[str, object]]:
        """The links, by name."""
        return {link["ifname"]: link for link in json.loads(self.run("ip", "-json", "-details", "address", "show"))}

    def addresses(self, link: str) -> list[str]:
        """The IPv4 addresses of a link, with prefix length."""
        found = json.loads(self.run("ip", "-json", "-4", "address", "show", "dev", link))
        return [f"{one['local']}/{one['prefixlen']}" for one in found[0]["addr_info"]] if found else []

    def changes(self) -> list[str]:
        """What networkd was told to do, from its log of D-Bus calls."""
        return re.findall(r"interface=org\.freedesktop\.network1\.Manager +member=(Re\w+)", self.log())

    def log(self) -> str:
        """Everything that networkd said."""
        return self.run("cat", "/run/networkd.log")


@contextmanager
def machine(root_fs: Path, folder: Path, cards: Sequence[tuple[str, str]]) -> Iterator[Machine]:
    """Start it; nothing is left of it at the end."""
    if os.geteuid() != 0:
        pytest.fail("namespaces need root: sudo make test-elements")
    folder.mkdir()
    spaces = ["--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child"]
    setup = ["sh", "-c", SETUP, "machine", str(folder), str(root_fs), str(STANDINS / "systemctl"), START]
    with (folder.parent / f"{folder.name}.log").open("w+") as said:
        process = subprocess.Popen(["unshare", *spaces, *setup], stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                said.seek(0)
                pytest.fail(f"the machine did not start: {said.read()}")
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            made = Machine(int(children[0]))
            for name, mac in cards:
                made.plug(name, mac)
            yield made
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
