"""Access ports of the lab's switches: two machines whose kernels know no VLANs meet in one, over a trunk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.lab import accessport
from builder.lab.process import end_process
from firstboot.run import Completed, run
from tests.vm.stream import LENGTH

STREAM = Path(__file__).with_name("stream.py")


@dataclass(frozen=True)
class Side:
    """A network namespace with a switch; the trunk to the other side is a port of it."""

    name: str
    mac: str

    def run(self, *words: str | Path, check: bool = True) -> Completed:
        return run(["ip", "netns", "exec", self.name, *words], timeout_s=60, check=check)

    def open_port(self, vlan: int, address: str, folder: Path) -> int:
        """An access port of this VLAN, with an address; its process."""
        link, pid_file = f"port{vlan}", folder / f"{self.name}-{vlan}.pid"
        self.run(sys.executable, "-m", accessport.__name__, "switch", self.mac, link, str(vlan), pid_file)
        self.run("ip", "address", "add", f"{address}/24", "dev", link)
        self.run("ip", "link", "set", link, "up")
        return int(pid_file.read_text())


@pytest.fixture
def sides() -> Iterator[tuple[Side, Side]]:
    pair = tuple(Side(f"trv-vlan{n}-{os.getpid()}", f"52:54:ff:00:00:0{n}") for n in (1, 2))
    with ExitStack() as undo:
        for side in pair:
            run(["ip", "netns", "add", side.name], timeout_s=10)
            undo.callback(run, ["ip", "netns", "delete", side.name], timeout_s=10)
        one, other = pair
        one.run("ip", "link", "add", "trunk", "type", "veth", "peer", "name", "trunk", "netns", other.name)
        for side in pair:
            side.run("ip", "link", "add", "switch", "address", side.mac, "type", "bridge", "forward_delay", "0")
            side.run("ip", "link", "set", "trunk", "master", "switch", "up")
            side.run("ip", "link", "set", "switch", "up")
        yield one, other


def test_a_vlan_leads_from_port_to_port_and_no_further(sides: tuple[Side, Side], tmp_path: Path) -> None:
    one, other = sides
    with ExitStack() as undo:
        same = ((one, 10, "10.0.0.1"), (other, 10, "10.0.0.2"))
        for side, vlan, address in (*same, (one, 11, "10.0.9.1"), (other, 12, "10.0.9.2")):
            undo.callback(end_process, side.open_port(vlan, address, tmp_path))
        with ThreadPoolExecutor(1) as pool:
            served = pool.submit(other.run, sys.executable, STREAM, "serve", "10.0.0.2")
            one.run(sys.executable, STREAM, "send", "10.0.0.2")
            assert served.result().stdout.strip() == str(LENGTH)
        assert other.mac in one.run("ip", "neighbour", "show", "10.0.0.2", "dev", "port10").stdout
        unheard = "import socket; socket.create_connection(('10.0.9.2', 5000), 2)"
        assert not one.run(sys.executable, "-c", unheard, check=False).ok
        assert other.mac not in one.run("ip", "neighbour", "show", "10.0.9.2", "dev", "port11").stdout


def test_the_port_goes_with_its_process(sides: tuple[Side, Side], tmp_path: Path) -> None:
    one, _ = sides
    end_process(one.open_port(10, "10.0.0.1", tmp_path))
    assert not one.run("ip", "link", "show", "port10", check=False).ok
