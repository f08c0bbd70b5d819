"""`lab down`: removes whatever of a lab exists, however far its making came."""

from __future__ import annotations

import shutil
from pathlib import Path

from builder.lab import daemon, dhcp, ports, seeds
from builder.lab.hypervisor import connected, reachable
from builder.lab.machine import guest_name
from builder.lab.process import end_process, running_pid
from builder.lab.state import EMULATOR, LabFolder, LabState, load
from firstboot.errors import BadInputError, RefusedError


def take_down(folder: LabFolder, *, keep_site: bool) -> list[str]:
    """Remove machines, daemon, network and files of a lab; what was removed, in words. Again: nothing."""
    if not folder.path.exists():
        return []
    state = _load(folder) if folder.state_file.exists() else None
    removed = _remove_machines(folder, state) if state is not None else []
    _end_machines(folder)
    daemon.stop_private(folder.libvirt)
    dhcp.stop(folder)
    ports.close(folder)
    bridges = ports.standing(folder.name) if state is None else [switch.bridge for switch in state.switches]
    ports.remove(bridges)
    removed += [f"bridge {bridge}" for bridge in bridges]
    if state is not None and state.site_made and not keep_site and state.site_folder.exists():
        if seeds.is_only_of(state, folder):
            shutil.rmtree(state.site_folder)
            removed.append(f"site folder {state.site_folder}")
        else:
            removed.append(f"but not site folder {state.site_folder}, which is not this lab's alone")
    _remove_tree(folder.path)
    removed.append(f"folder {folder.path}")
    return removed


def _load(folder: LabFolder) -> LabState | None:
    try:
        return load(folder)
    except BadInputError:
        # With a daemon of its own a lab can be found and removed without its state, which says nothing any more.
        if not folder.libvirt.exists():
            raise
        return None


def _remove_machines(folder: LabFolder, state: LabState) -> list[str]:
    if reachable(state.libvirt_uri):
        with connected(state.libvirt_uri) as guests:
            for node in state.nodes:
                guests.remove(guest_name(state.name, node.name))
    elif not state.private_daemon:
        raise RefusedError(
            f"machines of lab {state.name} can't be removed: no libvirt daemon answers at {state.libvirt_uri}",
            hint="start it (systemctl start libvirtd) and run this again",
        )
    return [f"{len(state.nodes)} machines"]


def _remove_tree(path: Path) -> None:
    """Remove a folder in which others remove things too: an ssh connection's socket goes when its machine ends."""
    while path.exists():
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            continue


def _end_machines(folder: LabFolder) -> None:
    """End machines of a private daemon that died or has lost them."""
    for pid_file in folder.libvirt.glob("run/libvirt/qemu/*.pid"):
        pid = running_pid(pid_file, EMULATOR.name, folder.path)
        if pid is not None:
            end_process(pid)
