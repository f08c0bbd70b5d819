"""Brick disks that come from an earlier life of the same slot: adopted, cleaned if empty, never emptied."""

from __future__ import annotations

import os

from builder.site.folder import Site
from firstboot.disks.preparation import mkfs_command
from firstboot.disks.tags import LABEL_READY, TAG_FILE, Brick
from firstboot.paths import brick_path
from tests.netns.agents import Agent, is_formed, says, wait_until
from tests.netns.looks import volumes
from tests.netns.namespaces import Lab, Node
from tests.netns.sites import DISK_BYTES, VOLUME, make_seed

OLD_MARK = "0x07ab970ae61049d392088a2252645c0c"
MARK = "trusted.glusterfs.volume-id"


def machine_with_brick(machines: Lab, site: Site) -> Node:
    """A machine whose disk is slot 1's brick already, with the mark of a volume that nobody knows."""
    node = machines.add_node("machine1", disks=(DISK_BYTES,))
    device = node.disks[0].device
    brick = Brick(site.id, 1, VOLUME, 0)
    node.run(*mkfs_command(device, brick, again=False))
    node.run("mkdir", "/srv/old")
    node.run("mount", "-t", "xfs", device, "/srv/old")
    node.write(f"/srv/old/{TAG_FILE}", brick.tag.model_dump_json().encode())
    node.run("mkdir", "/srv/old/brick")
    node.run("setfattr", "-n", MARK, "-v", OLD_MARK, "/srv/old/brick")
    node.run("xfs_io", "-c", f"label -s {LABEL_READY}", "/srv/old")
    return node


def mark_of(node: Node) -> str:
    return f"0x{os.getxattr(f'/proc/{node.pid}/root{brick_path(VOLUME, 0)}', MARK).hex()}"


def test_an_empty_brick_is_adopted_and_the_old_mark_cleaned(machines: Lab, one_slot: Site) -> None:
    node = machine_with_brick(machines, one_slot)
    node.run("umount", "/srv/old")
    agent = Agent(node, make_seed(one_slot, 1, node.disks[0].device))
    agent.start()
    wait_until("formed", [agent], lambda: is_formed(agent))
    assert not [command for command in agent.commands() if command.startswith("mkfs")]
    assert [volume.status for volume in volumes(node)] == ["Started"]
    assert mark_of(node) != OLD_MARK


def test_a_brick_with_data_is_refused_and_kept(machines: Lab, one_slot: Site) -> None:
    node = machine_with_brick(machines, one_slot)
    node.write("/srv/old/brick/precious", b"data")
    node.run("umount", "/srv/old")
    agent = Agent(node, make_seed(one_slot, 1, node.disks[0].device))
    agent.start()
    wait_until("refused", [agent], lambda: says(agent, "failed", "belongs to a volume that this pool does not know"))
    assert agent.status is not None
    assert agent.status.hint
    assert node.read(brick_path(VOLUME, 0) / "precious") == "data"
    assert mark_of(node) == OLD_MARK
    assert volumes(node) == ()
