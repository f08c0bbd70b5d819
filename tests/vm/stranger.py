"""Another machine on a lab's bridge: a network namespace with an address and no seed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from builder.lab.state import LabState
from firstboot.run import run

REACH = Path(__file__).with_name("reach.py")


@dataclass(frozen=True)
class Stranger:
    """A namespace on the bridge."""

    namespace: str

    def open_ports(self, address: IPv4Address | str) -> list[int]:
        """The TCP ports that a node opens to this machine."""
        argv: list[str | Path] = ["ip", "netns", "exec", self.namespace, sys.executable, REACH, str(address)]
        ports = json.loads(run(argv, timeout_s=900).stdout)
        assert isinstance(ports, list)
        return [int(port) for port in ports]


@contextmanager
def stranger(lab: LabState) -> Iterator[Stranger]:
    """Make the namespace, with the last address of the lab's network; it goes at the end."""
    name = f"trv-vm-{os.getpid()}"
    outside, inside = f"tvo{os.getpid() % 10**7}", f"tvi{os.getpid() % 10**7}"
    subnet = lab.home.subnet
    assert subnet is not None, "a lab without a subnet has no address for a stranger"
    address = f"{subnet[-2]}/{subnet.prefixlen}"
    run(["ip", "netns", "add", name], timeout_s=10)
    try:
        run(["ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name], timeout_s=10)
        run(["ip", "link", "set", outside, "master", lab.home.switch.bridge, "up"], timeout_s=10)
        run(["ip", "-n", name, "address", "add", address, "dev", inside], timeout_s=10)
        run(["ip", "-n", name, "link", "set", inside, "up"], timeout_s=10)
        yield Stranger(name)
    finally:
        run(["ip", "netns", "delete", name], timeout_s=10, check=False)
        run(["ip", "link", "delete", outside], timeout_s=10, check=False)
