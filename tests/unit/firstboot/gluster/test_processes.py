"""What outlives glusterd is ended by its pid file, and nothing that only has that number."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from pathlib import Path

import pytest

from firstboot import services
from firstboot.gluster import processes

UNITS = Path(__file__).parents[4] / "elements/trivet-gluster/trivet-files/usr/lib/systemd/system"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
POLITE = "import time; print(flush=True); time.sleep(600)"

Starter = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Start a process that was told a pid file, and write its number there."""
    started = []

    def begin(name: str, program: str = POLITE, *, told: bool = True) -> subprocess.Popen[bytes]:
        pid_file = tmp_path / "vols" / "data" / f"{name}.pid"
        pid_file.parent.mkdir(parents=True, exist_ok=True)
        words = ["-p", f"/var{pid_file}"] if told else []
        process = subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        pid_file.write_text(f"{process.pid}\n")
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_what_was_started_with_a_pid_file_ends(start: Starter, tmp_path: Path) -> None:
    bricks = [start("brick"), start("shd")]
    processes.end(tmp_path)
    assert [process.wait(timeout=60) for process in bricks] == [-15, -15]
    processes.end(tmp_path)


def test_who_only_has_the_number_lives_on(start: Starter, tmp_path: Path) -> None:
    other = start("brick", told=False)
    (tmp_path / "odd.pid").write_text("not a number\n")
    (tmp_path / "gone.pid").write_text("99999999999999999999\n")
    processes.end(tmp_path)
    assert other.poll() is None


def test_who_does_not_end_is_killed(start: Starter, tmp_path: Path) -> None:
    brick = start("brick", STUBBORN)
    processes.end(tmp_path, limit_s=0.2)
    assert brick.wait(timeout=60) == -9


def test_glusterd_goes_first_or_it_would_start_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(services, "stop", lambda unit: steps.append(f"stop {unit}"))
    monkeypatch.setattr(processes, "end", lambda: steps.append("end"))
    processes.end_all()
    assert steps == ["stop glusterd", "end"]


def unit(path: str) -> RawConfigParser:
    read = RawConfigParser(strict=False)
    read.read_string((UNITS / path).read_text())
    return read


def test_the_image_has_glusterd_end_alone_and_start_as_often_as_it_takes() -> None:
    added = unit("glusterd.service.d/trivet.conf")
    assert added["Service"]["killmode"] == "process"
    assert added["Service"]["restart"] == "no"
    assert added["Unit"]["startlimitintervalsec"] == "0"


def test_the_image_ends_bricks_after_whoever_reads_from_them_or_starts_them() -> None:
    bricks = unit("trivet-bricks.service")
    assert bricks["Service"]["execstop"].endswith(f"-m {processes.__name__}")
    later = {"glusterd.service", "trivet-firstboot.service", "remote-fs-pre.target"}
    assert later <= set(bricks["Unit"]["before"].split())
    assert bricks["Unit"]["after"] == "network.target"
