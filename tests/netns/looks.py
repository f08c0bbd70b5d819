"""What is true of a node from outside: facts that a second run must not change."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import xml.etree.ElementTree as ElementTree

from firstboot.gluster.client import Pool, VolumeInfo, parse_answer, parse_pool, parse_volumes
from tests.netns.namespaces import LoopDisk, Node
from tests.netns.sites import DOMAIN

MIB = 1024 * 1024
LOOKING = re.compile(
    r"lsblk |wipefs --no-act |blkid |ip -json |agetty --reload|systemctl (is-active|show) |networkctl status"
    r"|nft list |chronyc -n -c tracking"
    r"|gluster --mode=script --xml (pool list|volume info|volume status)"
)
"""Commands that only look."""


def changing(commands: list[str]) -> list[str]:
    """The commands that are not known to change nothing."""
    return [command for command in commands if not LOOKING.match(command)]


def gluster(node: Node, *words: str) -> ElementTree.Element:
    return parse_answer("looking", node.run("gluster", "--mode=script", "--xml", *words).stdout)


def pool(node: Node) -> Pool:
    return parse_pool(gluster(node, "pool", "list"))


def volumes(node: Node) -> tuple[VolumeInfo, ...]:
    return parse_volumes(gluster(node, "volume", "info"))


def standing(node: Node) -> dict[str, str]:
    """Everything that the agent makes on a node, in comparable words."""
    definition = node.run("virsh", "-c", "qemu:///system", "pool-dumpxml", "--inactive", DOMAIN).stdout
    listing = node.run("find", "/var/lib/trivet", "-xdev", "-type", "f", "-printf", "%p %T@ %s\\n").stdout
    return {
        "pool": str(sorted((p.uuid, p.names, p.connected, p.state) for p in pool(node).peers)),
        "volumes": str([(v.id, v.status, v.bricks, sorted(v.options.items())) for v in volumes(node)]),
        "definition": definition,
        "files": "\n".join(sorted(listing.splitlines())),
        "mounts": "\n".join(line for line in (node.read("/proc/1/mounts") or "").splitlines() if "trivet" in line),
        "hosts": node.read("/etc/hosts") or "",
        "services": node.read("/run/systemctl.log") or "",
    }


def digest(disk: LoopDisk) -> str:
    """The content of a disk: every MiB that is not all zeros, and where; holes of the file are not read."""
    content = hashlib.sha256()
    with disk.file.open("rb") as image:
        offset, size = 0, disk.file.stat().st_size
        while offset < size:
            try:
                data = os.lseek(image.fileno(), offset, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole is left
                    break
                raise
            offset = data - data % MIB
            block = os.pread(image.fileno(), MIB, offset)
            if block.count(0) != len(block):
                content.update(b"%d:" % offset + block)
            offset += MIB
    return content.hexdigest()


def listening(node: Node) -> str:
    """The TCP sockets that wait for connections."""
    return node.run("ss", "-Hltn").stdout


def brick_ports(node: Node, volume: str) -> set[int]:
    """The TCP ports of a volume's bricks on this node."""
    status = gluster(node, "volume", "status", volume)
    return {
        int(port)
        for brick in status.iterfind("volStatus/volumes/volume/node")
        if (port := brick.findtext("port") or "").isdigit() and brick.findtext("peerid") == own_uuid(node)
    }


def own_uuid(node: Node) -> str:
    return pool(node).own_uuid
