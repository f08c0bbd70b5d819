"""The agent is killed again and again, a phase further each time: each run goes on, and it ends in the same place."""

from __future__ import annotations

import testinfra

from builder.site.folder import Site
from firstboot.paths import DOMAINS, brick_mount
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.namespaces import Lab
from tests.netns.sites import DISK_BYTES, DOMAIN, VOLUME, make_seed


def test_one_node_forms_though_killed_after_each_phase(machines: Lab, one_slot: Site) -> None:
    node = machines.add_node("machine1", disks=(DISK_BYTES,))
    agent = Agent(node, make_seed(one_slot, 1, node.disks[0].device))
    deaths: list[frozenset[str]] = []
    while "volumes" not in agent.journal.phases:
        known = frozenset(agent.journal.phases)
        agent.start()
        wait_until(
            f"a phase after {sorted(known)} is done",
            [agent],
            lambda before=known: frozenset(agent.journal.phases) > before,  # type: ignore[misc]
        )
        agent.kill()
        deaths.append(frozenset(agent.journal.phases))
    assert len(deaths) > 3, "it was hardly ever killed"
    agent.start()
    wait_until("formed", [agent], lambda: is_formed(agent))
    # A command that outlives its agent leaves no line in a log, so that it may be counted as never run.
    commands = [command for log in range(len(agent.logs)) for command in agent.commands(log)]
    assert sum(command.startswith("mkfs.xfs ") and " -f " not in command for command in commands) <= 1
    assert sum(" volume create " in command for command in commands) <= 1
    host = testinfra.get_host(f"netns://{node.pid}")
    assert host.mount_point(str(brick_mount(VOLUME, 0))).filesystem == "xfs"
    assert host.mount_point(str(DOMAINS / DOMAIN)).filesystem == "fuse.glusterfs"
