"""The agent is killed after each phase in turn: the next run goes on, and ends in the same place."""

from __future__ import annotations

import testinfra

from builder.site.folder import Site
from firstboot.paths import DOMAINS, brick_mount
from firstboot.sequence import TITLES
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.namespaces import Lab
from tests.netns.sites import DISK_BYTES, DOMAIN, VOLUME, make_seed


def test_one_node_forms_though_killed_after_every_phase(machines: Lab, one_slot: Site) -> None:
    node = machines.add_node("machine1", disks=(DISK_BYTES,))
    agent = Agent(node, make_seed(one_slot, 1, node.disks[0].device))
    deaths = {}
    for phase in list(TITLES)[:-1]:
        agent.start()
        wait_until(f"phase {phase} is done", [agent], lambda name=phase: name in agent.journal.phases)  # type: ignore[misc]
        agent.kill()
        deaths[phase] = set(agent.journal.phases)
    assert "domains" not in deaths["disks"], "it was never killed in the middle"
    agent.start()
    wait_until("formed", [agent], lambda: is_formed(agent))
    formats = [line for log in agent.logs for line in log.read_text().splitlines() if ": mkfs.xfs " in line]
    assert len(formats) <= 1 or all("-f" not in line for line in formats[1:])
    host = testinfra.get_host(f"netns://{node.pid}")
    assert host.mount_point(str(brick_mount(VOLUME, 0))).filesystem == "xfs"
    assert host.mount_point(str(DOMAINS / DOMAIN)).filesystem == "fuse.glusterfs"
