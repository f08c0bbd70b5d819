"""Which libvirt daemon the lab talks to: the machine's own, or a private one that needs no systemd, D-Bus or cgroups.

Run as a program it is the private daemon's launcher: in its own mount namespace it lays the lab's folders over
libvirt's fixed ones and becomes libvirtd, so that it meets no other daemon's state.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from builder.lab.hypervisor import reachable
from builder.lab.process import end_process, running_pid
from builder.lab.state import labs_root
from builder.lab.template import render
from firstboot.files import write_atomic
from firstboot.run import run

SYSTEM_URI = "qemu:///system"
MAX_SOCKET_PATH = 107
"""unix(7): sun_path has 108 bytes with its end."""

_OVERLAID = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "log": "/var/log/libvirt",
    "run": "/run",
}
"""Folders of the lab and what they hide; the whole of /run, since /run/libvirt need not be there."""

_CACHE = "/var/cache/libvirt"


def shared_cache() -> Path:
    """What libvirt found out about QEMU, which takes seconds: shared by all labs and kept."""
    return labs_root() / ".libvirt-cache"


def private_uri(folder: Path) -> str:
    """The libvirt URI of the private daemon of that folder."""
    return f"qemu+unix:///system?socket={folder}/run/libvirt/libvirt-sock"


def system_daemon_runs() -> bool:
    """Whether the machine's own libvirt answers."""
    return reachable(SYSTEM_URI)


def private_runs(folder: Path) -> bool:
    """Whether the private daemon of that folder lives and answers."""
    return _pid(folder) is not None and reachable(private_uri(folder))


def start_private(folder: Path) -> None:
    """Start the private daemon unless it runs; `folder` is all that it may call its own."""
    if private_runs(folder):
        return
    stop_private(folder)
    for name in _OVERLAID:
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "etc" / "qemu.conf", render("qemu.conf.j2"))
    write_atomic(folder / "etc" / "libvirtd.conf", render("libvirtd.conf.j2"))
    shared_cache().mkdir(parents=True, exist_ok=True)
    launcher = [sys.executable, "-m", "builder.lab.daemon", str(folder), str(shared_cache())]
    run(
        ["unshare", "--mount", "--propagation", "private", *launcher],
        timeout_s=60,
        # Without a bus there is no machined to ask, which would want to move guests into cgroups of its own.
        env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"},
        hint=f"libvirtd's log is {folder}/log/libvirtd.log",
    )


def stop_private(folder: Path) -> None:
    """End the private daemon and wait until it is gone; guests are destroyed before."""
    pid = _pid(folder)
    if pid is not None:
        end_process(pid)


def _pid(folder: Path) -> int | None:
    return running_pid(folder / "run" / "libvirtd.pid", "libvirtd", folder)


def _become_libvirtd(folder: Path, cache: Path) -> None:
    Path(_CACHE).mkdir(parents=True, exist_ok=True)
    run(["mount", "--bind", cache, _CACHE], timeout_s=10)
    for name, target in _OVERLAID.items():
        Path(target).mkdir(parents=True, exist_ok=True)
        run(["mount", "--bind", folder / name, target], timeout_s=10)
    argv = ["libvirtd", "--daemon", "--config", str(folder / "etc" / "libvirtd.conf")]
    argv += ["--pid-file", str(folder / "run" / "libvirtd.pid")]
    os.execvp(argv[0], argv)  # noqa: S606  (the gate starts children; this process must become the daemon)


if __name__ == "__main__":
    _become_libvirtd(Path(sys.argv[1]), Path(sys.argv[2]))
