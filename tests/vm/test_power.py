"""Power cuts: in the middle of formation, of one node after the other under a writer, of all at once."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from testinfra.host import Host

from builder.lab.report import LabNode, LabStatus
from firstboot import paths
from tests.vm.cli import PROFILE, trivet
from tests.vm.conftest import Lab, formed_lab, host_of

pytestmark = pytest.mark.full

Seen = TypeVar("Seen")
STALL_S = 3600.0
"""Nothing changes for so long: an emulated node boots in one to five minutes, and waits for a brick for two."""
NODES = (1, 2, 3)
FILE = f"{paths.DOMAINS}/vmstore/written"
AHEAD = 20
"""So many blocks have to be written while a node is off, and again when it is back."""


def status(name: str) -> LabStatus:
    done = trivet("lab", "status", "--name", name, "--json", check=False)
    return LabStatus.model_validate_json(done.stdout)


def await_fact(what: str, look: Callable[[], Seen], good: Callable[[Seen], bool]) -> None:
    """Wait until what is seen is good; the limit begins again whenever something else is seen."""
    seen, since = look(), time.monotonic()
    while not good(seen):
        assert time.monotonic() - since < STALL_S, f"{what}: {seen}"
        time.sleep(5)
        before, seen = seen, look()
        if seen != before:
            since = time.monotonic()


def phases(name: str) -> dict[int, str]:
    return {node.number: node.phase for node in status(name).nodes}


def summary(node: LabNode) -> tuple[object, ...]:
    return node.number, node.power, node.phase, node.state, node.reason


class Writer:
    """Blocks written on a node and followed from here, so that the node may lose power."""

    def __init__(self, lab: Lab, number: int, first: int) -> None:
        self.last = first - 1
        self._process = subprocess.Popen(
            [*ssh(lab, number), f"python3 - write {FILE} {first}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(PROGRAM)
        self._process.stdin.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):
                self.last = int(line)

    def await_more(self, when: str) -> None:
        """It goes on: no write fails, however long one may wait."""
        goal = self.last + AHEAD
        await_fact(f"writing {when}", self._progress, lambda _: self.last >= goal)

    def _progress(self) -> int:
        assert self._process.stderr is not None
        assert self._process.poll() is None, f"the writer ended: {self._process.stderr.read()}"
        return self.last

    def end(self) -> int:
        """The last block that is on disk; the writer, or its node, is dead afterwards."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        return self.last


PROGRAM = Path(__file__).with_name("writer.py").read_text()


def ssh(lab: Lab, number: int) -> list[str]:
    """A connection of its own: none that is shared dies with the node."""
    host_of(lab, number)  # writes the configuration
    return ["ssh", "-F", str(lab.folder.path / f"ssh-config-{number}"), "-S", "none", f"root@node{number}"]


@contextmanager
def writer(lab: Lab, number: int, first: int) -> Iterator[Writer]:
    started = Writer(lab, number, first)
    try:
        yield started
    finally:
        started.end()


def cut(lab: Lab, *numbers: int) -> None:
    for number in numbers:
        trivet("lab", "stop", str(number), "--name", lab.name)
        (lab.folder.path / f"ssh-{number}").unlink(missing_ok=True)  # the connection that is kept open dies with it
    off = {node.number for node in status(lab.name).nodes if node.power == "off"}
    assert off == set(numbers)


def start(lab: Lab, *numbers: int) -> None:
    for number in numbers:
        trivet("lab", "start", str(number), "--name", lab.name)
    await_fact(
        "formed again",
        lambda: (status(lab.name).formed, [summary(node) for node in status(lab.name).nodes]),
        lambda _: status(lab.name).formed,
    )


def await_healed(lab: Lab, number: int) -> None:
    """All three bricks there, and nothing left to be copied."""

    def entries() -> list[str]:
        text = host_of(lab, number).run("gluster --mode=script volume heal vmstore info").stdout
        return [line.split(": ")[1].strip() for line in text.splitlines() if line.startswith("Number of entries")]

    await_fact("healed", entries, lambda seen: seen == ["0", "0", "0"])


def wrong_blocks(lab: Lab, number: int, last: int) -> str:
    done = subprocess.run(
        [*ssh(lab, number), f"python3 - check {FILE} {last}"],
        input=PROGRAM,
        text=True,
        capture_output=True,
        check=False,
    )
    return done.stdout + done.stderr


def bricks(lab: Lab) -> set[str]:
    """The digest of the file in each brick."""
    glob = f"{paths.BRICKS}/vmstore-*/brick/written"
    return {host_of(lab, number).check_output(f"cat {glob} | sha256sum") for number in NODES}


def cut_in_the_middle(name: str) -> None:
    """All at once, when a node is at the volumes: disks are formatted, votes given, the pool there in part."""
    await_fact("in the middle", lambda: phases(name), lambda seen: "volumes" in seen.values())
    assert not status(name).formed
    for number in NODES:
        trivet("lab", "stop", str(number), "--name", name)
    assert [node.power for node in status(name).nodes] == ["off"] * 3


@pytest.fixture(scope="module")
def lab(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """It formed although all its nodes lost power before it had."""
    site = tmp_path_factory.mktemp("site") / "site"
    with formed_lab(PROFILE, image_folder, site, disturb=cut_in_the_middle) as made:
        yield made


def test_nodes_lose_power_one_after_the_other_under_a_writer(lab: Lab) -> None:
    last = -1
    for dead, alive in ((1, 3), (2, 3), (3, 1)):
        with writer(lab, alive, last + 1) as writing:
            writing.await_more("before the cut")
            cut(lab, dead)
            writing.await_more(f"while node {dead} is off")
            start(lab, dead)
            writing.await_more(f"with node {dead} back")
            last = writing.end()
        await_healed(lab, alive)
        assert {number: wrong_blocks(lab, number, last) for number in NODES} == dict.fromkeys(NODES, "checked\n")
        assert len(bricks(lab)) == 1


def test_all_nodes_lose_power_at_once_under_a_writer(lab: Lab) -> None:
    with writer(lab, 2, 0) as writing:
        writing.await_more("before all are cut")
        cut(lab, *NODES)
        last = writing.end()
    start(lab, *NODES)
    await_healed(lab, 1)
    assert {number: wrong_blocks(lab, number, last) for number in NODES} == dict.fromkeys(NODES, "checked\n")
    assert len(bricks(lab)) == 1
    assert {node.node_id for node in status(lab.name).nodes} == {node.node_id for node in lab.status.nodes}
    for number in NODES:
        node = host_of(lab, number)
        assert since_boot_us(node, "trivet-packetfilter") < since_boot_us(node, "systemd-networkd")


def test_certificates_are_renewed_and_connections_cut_under_a_writer(lab: Lab) -> None:
    before = {number: serial(host_of(lab, number)) for number in NODES}
    with writer(lab, 3, 0) as writing:
        writing.await_more("before the renewal")
        for number in NODES:
            node = host_of(lab, number)
            report = json.loads(node.check_output("trivet-node renew --json"))
            assert int(report["serial"], 16) == serial(node)
            cut_connections(node)
            writing.await_more(f"with the connections of node {number} cut")
        last = writing.end()
    assert not before.items() & {number: serial(host_of(lab, number)) for number in NODES}.items()
    await_healed(lab, 3)
    assert {number: wrong_blocks(lab, number, last) for number in NODES} == dict.fromkeys(NODES, "checked\n")
    assert len(bricks(lab)) == 1
    assert status(lab.name).formed


def serial(node: Host) -> int:
    """The serial number of the node's certificate."""
    return int(node.check_output(f"openssl x509 -noout -serial -in {paths.NODE_CERTIFICATE}").partition("=")[2], 16)


def cut_connections(node: Host) -> None:
    """All of Gluster's, so that each is made anew, with the new certificate."""
    low, high = paths.BRICK_PORTS[0], paths.BRICK_PORTS[-1]
    ports = " or ".join(
        f"{side} = :{paths.GLUSTERD_PORT} or ( {side} >= :{low} and {side} <= :{high} )"
        for side in ("sport", "dport")
    )
    killed = node.check_output(f"ss --kill --no-header --tcp state established '{ports}'")
    assert len(killed.splitlines()) > 1, killed


def since_boot_us(node: Host, unit: str) -> int:
    """When a unit was up."""
    return int(node.check_output(f"systemctl show --value --property ActiveEnterTimestampMonotonic {unit}"))


def test_an_orderly_shutdown_ends_bricks_before_their_file_systems(lab: Lab) -> None:
    """And after the mounts that read from them; the others notice at once."""
    boot = host_of(lab, 2).check_output("cat /proc/sys/kernel/random/boot_id").replace("-", "")
    with writer(lab, 1, 0) as writing:
        writing.await_more("before the shutdown")
        host_of(lab, 2).run("systemctl --no-block poweroff")
        await_fact("off", lambda: summary(node_of(lab, 2)), lambda _: node_of(lab, 2).power == "off")
        (lab.folder.path / "ssh-2").unlink(missing_ok=True)
        writing.await_more("while the node is off")
        start(lab, 2)
        last = writing.end()
    said = host_of(lab, 2).check_output(f"journalctl --boot {boot} --output cat --identifier systemd").splitlines()
    ended = [place for place, line in enumerate(said) if line.startswith("Stopped trivet-bricks.service")]
    assert len(ended) == 1, said[-80:]
    before, after = "\n".join(said[: ended[0]]), "\n".join(said[ended[0] :])
    assert "Unmounted var-lib-trivet-domains-vmstore.mount" in before
    assert "Stopped glusterd.service" in before
    assert "Unmounted var-lib-trivet-bricks-vmstore" in after
    await_healed(lab, 1)
    assert {number: wrong_blocks(lab, number, last) for number in NODES} == dict.fromkeys(NODES, "checked\n")


def node_of(lab: Lab, number: int) -> LabNode:
    return next(node for node in status(lab.name).nodes if node.number == number)
