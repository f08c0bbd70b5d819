"""The agent is killed again and again, a phase further each time: each run goes on, and it ends in the same place."""

from __future__ import annotations

from pathlib import Path

import pytest
import testinfra

from builder.site.folder import Site
from firstboot.paths import DOMAINS, brick_mount
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.looks import volumes
from tests.netns.namespaces import Lab, LabError
from tests.netns.sites import DISK_BYTES, DOMAIN, VOLUME, make_seed, make_site, with_disks


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
    assert deaths, "it was never killed"  # how often depends on how quick its phases are
    agent.start()
    wait_until("formed", [agent], lambda: is_formed(agent))
    # A command that outlives its agent leaves no line in a log, so that it may be counted as never run.
    commands = [command for log in range(len(agent.logs)) for command in agent.commands(log)]
    assert sum(command.startswith("mkfs.xfs ") and " -f " not in command for command in commands) <= 1
    assert sum(" volume create " in command for command in commands) <= 1
    host = testinfra.get_host(f"netns://{node.pid}")
    assert host.mount_point(str(brick_mount(VOLUME, 0))).filesystem == "xfs"
    assert host.mount_point(str(DOMAINS / DOMAIN)).filesystem == "fuse.glusterfs"


@pytest.mark.full
def test_a_glusterd_that_failed_in_its_part_of_a_change_learns_of_it(machines: Lab, tmp_path: Path) -> None:
    site = make_site(tmp_path, slots=3)
    agents = with_disks(machines, site, 3)
    for agent in agents:
        agent.start()
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    first, second, _ = agents

    def allowed() -> list[str]:
        try:
            return [volumes(agent.node)[0].options["auth.ssl-allow"] for agent in agents]
        except LabError:
            return []  # a glusterd is being started

    members = allowed()
    first.node.run("gluster", "--mode=script", "volume", "set", VOLUME, "auth.ssl-allow", "nobody")
    second.node.run("rm", f"/var/lib/glusterd/vols/{VOLUME}/{VOLUME}-shd.vol")
    wait_until("it failed on node2", [first], lambda: "Commit failed on node2" in first.text)
    wait_until("all have it", agents, lambda: allowed() == members)
    assert f"it missed a change of volume {VOLUME}" in second.text
    wait_until("formed again", agents, lambda: all(is_formed(agent) for agent in agents))


@pytest.mark.full
def test_a_damaged_definition_is_set_aside_and_comes_from_the_others(machines: Lab, tmp_path: Path) -> None:
    agents = with_disks(machines, make_site(tmp_path, slots=3), 3)
    for agent in agents:
        agent.start()
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    node, known = agents[1].node, volumes(agents[0].node)
    node.power_off()
    agents[1].forget()
    info = node.folder / f"var-lib/glusterd/vols/{VOLUME}/info"
    half = info.read_text()[:-40]
    info.write_text(half)
    node.power_on()
    agents[1].start()
    aside = f"/var/lib/glusterd/cut-off/{VOLUME}/info"
    wait_until("it is set aside", agents, lambda: node.read(aside) is not None)
    wait_until("formed again", agents, lambda: all(is_formed(agent) for agent in agents))
    assert node.read(aside) == half
    assert [(volume.id, volume.status, volume.bricks) for volume in volumes(node)] == [
        (volume.id, volume.status, volume.bricks) for volume in known
    ]
