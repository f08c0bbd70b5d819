"""The lab's own machinery with real daemons and a guest of one sector: made, interrupted, gone on with, removed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

from builder.lab import ports
from builder.lab.process import running_pid
from builder.lab.state import LabFolder, lab_folder, load
from firstboot.errors import Exit
from tests.vm.cli import PROFILE, ROOT, TRIVET, trivet
from tests.vm.tiny import write_image

SMALL = ("--memory", "256", "--cpus", "1")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The output folder of a build whose node waits for ever."""
    write_image(tmp_path / "image", "lab", "trivet: node phase=network state=waiting nobody answers DHCP")
    return tmp_path / "image"


@pytest.fixture
def name() -> Iterator[str]:
    """A lab's name; whatever is left of the lab goes at the end."""
    name = f"tiny{os.getpid()}"
    yield name
    trivet("lab", "down", "--name", name)
    assert not lab_folder(name).path.exists()


def eventually(fact: Callable[[], bool], limit_s: float = 120.0) -> None:
    end = time.monotonic() + limit_s
    while not fact():
        assert time.monotonic() < end, "this did not come about"
        time.sleep(0.2)


def up(name: str, image: Path, site: Path, *more: str) -> list[str | Path]:
    where: list[str | Path] = ["--name", name, "--image", image, "--site", site]
    return ["lab", "up", PROFILE, *where, *SMALL, *more]


def running(name: str) -> int:
    document = json.loads(trivet("lab", "list", "--json").stdout)
    jsonschema.validate(document, json.loads((ROOT / "docs/schemas/trivet-lab-list.json").read_text()))
    return next(int(lab["running"]) for lab in document["labs"] if lab["name"] == name)


def daemon_pid(folder: LabFolder) -> int:
    pid = running_pid(folder.libvirt / "run" / "libvirtd.pid", "libvirtd", folder.libvirt)
    assert pid is not None
    return pid


def test_a_cluster_that_does_not_form_is_explained(name: str, tiny: Path, tmp_path: Path) -> None:
    done = trivet(*up(name, tiny, tmp_path / "site", "--timeout", "1"), check=False)
    assert done.returncode == Exit.WAITING
    assert "has not formed within its time limit" in done.stderr
    for number in (1, 2, 3):
        assert f"node{number}: network: waiting: nobody answers DHCP" in done.stderr
        assert str(lab_folder(name).node(number).serial_log) in done.stderr
    assert f"trivet lab down --name {name}" in done.stderr


def test_power_is_cut_and_comes_back(name: str, tiny: Path, tmp_path: Path) -> None:
    trivet(*up(name, tiny, tmp_path / "site", "--nodes", "2", "--no-wait"))
    assert running(name) == 2
    trivet("lab", "stop", "2", "--name", name)
    assert running(name) == 1
    status = json.loads(trivet("lab", "status", "--json", "--name", name, check=False).stdout)
    assert [node["power"] for node in status["nodes"]] == ["on", "off"]
    assert status["formed"] is False
    trivet("lab", "start", "2", "--name", name)
    assert running(name) == 2
    eventually(lambda: lab_folder(name).node(2).serial_log.read_bytes().count(b"nobody answers") == 2)


def test_machines_outlive_their_daemon(name: str, tiny: Path, tmp_path: Path) -> None:
    trivet(*up(name, tiny, tmp_path / "site", "--nodes", "1", "--no-wait"))
    folder = lab_folder(name)
    os.kill(daemon_pid(folder), signal.SIGKILL)
    trivet(*up(name, tiny, tmp_path / "site", "--nodes", "1", "--no-wait"))
    assert running(name) == 1
    assert folder.node(1).serial_log.read_bytes().count(b"power on") == 1, "the machine was left alone"
    os.kill(daemon_pid(folder), signal.SIGKILL)
    trivet("lab", "down", "--name", name)
    assert not folder.path.exists()
    trivet("lab", "down", "--name", name)


def test_a_lab_whose_state_is_damaged_is_still_taken_down(name: str, tiny: Path, tmp_path: Path) -> None:
    trivet(*up(name, tiny, tmp_path / "site", "--nodes", "1", "--no-wait"))
    folder = lab_folder(name)
    (pid_file,) = folder.libvirt.glob("run/libvirt/qemu/trivet-*.pid")
    machine = running_pid(pid_file, "qemu-system-x86_64", folder.path)
    assert machine is not None
    folder.state_file.write_text("{")
    refused = trivet("lab", "status", "--name", name, check=False)
    assert refused.returncode == Exit.BAD_INPUT
    assert f"trivet lab down --name {name}" in refused.stderr
    trivet("lab", "down", "--name", name)
    assert not Path(f"/proc/{machine}").exists()
    assert not folder.path.exists()


def test_an_interrupted_up_is_gone_on_with(name: str, tiny: Path, tmp_path: Path) -> None:
    folder = lab_folder(name)
    words = [str(word) for word in up(name, tiny, tmp_path / "site")]
    process = subprocess.Popen([TRIVET, *words], cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    eventually(lambda: folder.node(1).console_socket.exists())
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED, said
    trivet(*up(name, tiny, tmp_path / "site", "--no-wait"))
    assert running(name) == 3


def test_a_killed_up_leaves_nothing_that_down_does_not_find(name: str, tiny: Path, tmp_path: Path) -> None:
    folder = lab_folder(name)
    words = [str(word) for word in up(name, tiny, tmp_path / "site")]
    process = subprocess.Popen([TRIVET, *words], cwd=ROOT, stderr=subprocess.DEVNULL)
    eventually(lambda: (folder.libvirt / "run").exists())
    process.kill()
    process.wait()
    eventually(lambda: not running_elsewhere(folder))
    state = load(folder)
    trivet("lab", "down", "--name", name)
    assert not folder.path.exists()
    assert not (ports.LINKS / state.home.link).exists()
    assert not (tmp_path / "site").exists()


def running_elsewhere(folder: LabFolder) -> bool:
    """Whether the launcher of the daemon, whose parent was killed, has still not become the daemon."""
    pids = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    lines = [line for pid in pids for line in [read(pid / "cmdline")] if str(folder.path) in line]
    return any("builder.lab.daemon" in line for line in lines)


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def test_two_labs_at_once(name: str, tiny: Path, tmp_path: Path) -> None:
    other = f"{name}-other"
    try:
        trivet(*up(name, tiny, tmp_path / "one", "--nodes", "1", "--no-wait"))
        trivet(*up(other, tiny, tmp_path / "two", "--nodes", "1", "--no-wait"))
        first, second = load(lab_folder(name)), load(lab_folder(other))
        assert first.home.subnet is not None
        assert second.home.subnet is not None
        assert not first.home.subnet.overlaps(second.home.subnet)
        assert (running(name), running(other)) == (1, 1)
        trivet("lab", "down", "--name", name)
        assert running(other) == 1
    finally:
        trivet("lab", "down", "--name", other)


def test_the_sites_folder_is_kept_on_demand(name: str, tiny: Path, tmp_path: Path) -> None:
    trivet(*up(name, tiny, tmp_path / "site", "--nodes", "1", "--no-wait"))
    trivet("lab", "down", "--name", name, "--keep-site")
    assert (tmp_path / "site" / "site.json").exists()
    trivet(*up(name, tiny, tmp_path / "site", "--nodes", "1", "--no-wait"))
    trivet("lab", "down", "--name", name)
    assert (tmp_path / "site" / "site.json").exists(), "this lab did not make the site"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(b"QFI\xfb" + bytes(4096)), "is corrupt"),
        (lambda path: path.write_bytes(b"not an image"), "is corrupt: it does not begin like a qcow2 image"),
        (lambda path: os.truncate(path, 70000), "is corrupt"),
    ],
)
def test_a_corrupt_image_is_refused_before_anything_is_made(
    name: str, tiny: Path, tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(tiny / "trivet-lab.qcow2")
    done = trivet(*up(name, tiny, tmp_path / "site"), check=False)
    assert done.returncode == Exit.BAD_INPUT, done.stderr
    assert message in done.stderr
    assert "trivet build" in done.stderr
    assert not lab_folder(name).path.exists()
    assert not (tmp_path / "site").exists()


def test_too_much_memory_is_refused_before_anything_is_made(name: str, tiny: Path, tmp_path: Path) -> None:
    where = ["--name", name, "--image", str(tiny), "--site", str(tmp_path / "site")]
    done = trivet("lab", "up", PROFILE, *where, "--memory", "9999999", check=False)
    assert done.returncode == Exit.REFUSED
    assert "not enough memory: 3 nodes of 9999999 MiB need" in done.stderr
    assert not lab_folder(name).path.exists()
