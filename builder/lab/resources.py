"""Whether this machine has the memory and disk for a lab, before anything is made."""

from __future__ import annotations

import shutil
from pathlib import Path

from firstboot.errors import RefusedError

MIB = 1024**2
OVERHEAD_MIB = 384
"""What QEMU takes beside the guest's memory: translated code (emulation), device models, page tables."""

NODE_DISK_BYTES = 1536 * MIB
"""What a node's overlay and data disk grow to while it forms, with room to look around."""


def available_memory_mib(meminfo: str) -> int:
    """MemAvailable of /proc/meminfo's text."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def judge_memory(nodes: int, memory_mib: int, available_mib: int) -> str:
    """What is wrong, or nothing."""
    needed = nodes * (memory_mib + OVERHEAD_MIB)
    if needed > available_mib:
        return f"{nodes} nodes of {memory_mib} MiB need {needed} MiB of memory; {available_mib} MiB are available"
    return ""


def judge_disk(nodes: int, image_bytes: int, free_bytes: int, where: Path) -> str:
    """What is wrong, or nothing."""
    needed = image_bytes + nodes * NODE_DISK_BYTES
    if needed > free_bytes:
        return f"{nodes} nodes need about {needed // MIB} MiB on {where}; {free_bytes // MIB} MiB are free"
    return ""


def check_memory(nodes: int, memory_mib: int) -> None:
    """Raise RefusedError when memory would not do."""
    reason = judge_memory(nodes, memory_mib, available_memory_mib(Path("/proc/meminfo").read_text()))
    if reason:
        raise RefusedError(f"not enough memory: {reason}", hint="use less: --memory 1536, or --nodes with fewer")


def check(nodes: int, memory_mib: int, image: Path, folder: Path) -> None:
    """Raise RefusedError when memory or disk would not do."""
    check_memory(nodes, memory_mib)
    image_bytes = image.stat().st_blocks * 512
    reason = judge_disk(nodes, image_bytes, shutil.disk_usage(folder).free, folder)
    if reason:
        raise RefusedError(
            f"not enough disk: {reason}", hint="free some, or point TRIVET_LAB at a larger file system"
        )
