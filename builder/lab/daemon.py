"""Which libvirt daemon the lab talks to: the machine's own, or a private one that needs no systemd, D-Bus or cgroups.

Run as a program it is the private daemon's launcher: in its own mount namespace it lays the lab's folders over
libvirt's fixed ones and becomes libvirtd, so that it meets no other daemon's state.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from builder.lab.emulator import OtherQemu
from builder.lab.hypervisor import reachable
from builder.lab.process import end_process, running_pid
from builder.lab.state import labs_root
from builder.lab.template import render
from firstboot.files import write_atomic
from firstboot.run import run

SYSTEM_URI = "qemu:///system"

_OVERLAID = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "log": "/var/log/libvirt",
    "run": "/run",
}
"""Folders of the lab and what they hide; the whole of /run, since /run/libvirt need not be there."""

_CACHE = "/var/cache/libvirt"


def shared_cache(other_qemu: Path | None) -> Path:
    """What libvirt found out about a QEMU, which takes seconds: shared by all labs and kept."""
    return (labs_root() if other_qemu is None else other_qemu) / ".libvirt-cache"


def private_uri(folder: Path) -> str:
    """The libvirt URI of the private daemon of that folder."""
    return f"qemu+unix:///system?socket={folder}/run/libvirt/libvirt-sock"


def system_daemon_runs() -> bool:
    """Whether the machine's own libvirt answers."""
    return reachable(SYSTEM_URI)


def private_runs(folder: Path) -> bool:
    """Whether the private daemon of that folder lives and answers."""
    return _pid(folder) is not None and reachable(private_uri(folder))


def start_private(folder: Path, other_qemu: Path | None) -> None:
    """Start the private daemon unless it runs; `folder` is all that it may call its own.

    In place of this machine's QEMU it finds the one in `other_qemu`, if given.
    """
    if private_runs(folder):
        return
    stop_private(folder)
    for name in _OVERLAID:
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "etc" / "qemu.conf", render("qemu.conf.j2"))
    write_atomic(folder / "etc" / "libvirtd.conf", render("libvirtd.conf.j2"))
    cache = shared_cache(other_qemu)
    cache.mkdir(parents=True, exist_ok=True)
    launcher = [sys.executable, "-m", "builder.lab.daemon", str(folder), str(cache)]
    launcher += [str(other_qemu)] if other_qemu else []
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


def _become_libvirtd(folder: Path, cache: Path, other_qemu: Path | None = None) -> None:
    folders = {cache: Path(_CACHE), **{folder / name: Path(target) for name, target in _OVERLAID.items()}}
    for target in folders.values():
        target.mkdir(parents=True, exist_ok=True)
    for source, target in {**folders, **(OtherQemu(other_qemu).overlays if other_qemu else {})}.items():
        run(["mount", "--bind", source, target], timeout_s=10)
    argv = ["libvirtd", "--daemon", "--config", str(folder / "etc" / "libvirtd.conf")]
    argv += ["--pid-file", str(folder / "run" / "libvirtd.pid")]
    os.execvp(argv[0], argv)  # noqa: S606  (the gate starts children; this process must become the daemon)


if __name__ == "__main__":
    _become_libvirtd(*map(Path, sys.argv[1:]))
