"""Wrong inputs: each is named with the next step, and nothing is written."""

from __future__ import annotations

from pathlib import Path

from builder.site.folder import Site
from firstboot.errors import Exit
from firstboot.status import NodeStatus
from tests.netns.agents import Agent, says, wait_until
from tests.netns.looks import changing, digest, listening
from tests.netns.namespaces import Lab, command
from tests.netns.sites import DISK_BYTES, make_seed, make_site

ANY_LOOP = "/dev/loop*"


def status_of(agent: Agent) -> NodeStatus:
    status = agent.status
    assert status is not None
    return status


def test_without_a_seed_no_port_is_open_and_the_console_says_why(machines: Lab) -> None:
    agent = Agent(machines.add_node("machine1", disks=(DISK_BYTES,)), None)
    agent.start()
    wait_until("unclaimed", [agent], lambda: says(agent, "waiting", "waiting for a seed"))
    assert listening(agent.node) == ""
    assert status_of(agent).phase == "unclaimed"
    assert "trivet: unclaimed phase=unclaimed state=waiting waiting for a seed" in agent.tail()
    assert "waiting for a seed" in (agent.node.read("/run/issue.d/trivet.issue") or "")
    assert changing(agent.commands()) == []


def test_slots_that_are_missing_are_named(machines: Lab, tmp_path: Path) -> None:
    site = make_site(tmp_path, slots=3)
    node = machines.add_node("machine2", disks=(DISK_BYTES,))
    agent = Agent(node, make_seed(site, 2, node.disks[0].device))
    agent.start()
    wait_until("it waits for the others", [agent], lambda: says(agent, "waiting", "node1", "node3"))
    status = status_of(agent)
    assert status.phase == "admit"
    assert status.hint
    assert "24007" not in listening(node), "glusterd listens before every slot is filled"


def test_a_seed_of_another_site_is_refused_by_name(machines: Lab, tmp_path: Path) -> None:
    mine, other = make_site(tmp_path, slots=1, name="mine"), make_site(tmp_path, slots=1, name="other")
    node = machines.add_node("machine1")
    agent = Agent(node, make_seed(mine, 1, ANY_LOOP))
    agent.start()
    wait_until("it has its seed", [agent], lambda: "identity" in agent.journal.phases)
    agent.stop()
    key = node.read("/var/lib/trivet/node.key")
    agent.seed = make_seed(other, 1, ANY_LOOP)
    agent.start()
    wait_until("refused", [agent], lambda: says(agent, "failed", "a seed of another site", "mine", "other"))
    assert status_of(agent).hint
    assert agent.journal.site_id == mine.id
    assert node.read("/var/lib/trivet/node.key") == key


def test_no_disk_that_matches_is_waited_for(machines: Lab, one_slot: Site) -> None:
    node = machines.add_node("machine1", disks=(DISK_BYTES // 4,))
    before = digest(node.disks[0])
    agent = Agent(node, make_seed(one_slot, 1, ANY_LOOP))
    agent.start()
    wait_until("no disk", [agent], lambda: says(agent, "waiting", "brick class bricks lacks 1 disk", "smaller than"))
    assert node.disks[0].device in status_of(agent).reason
    assert digest(node.disks[0]) == before
    late = node.add_disk(DISK_BYTES)
    wait_until("the late disk is taken", [agent], lambda: "disks" in agent.journal.phases)
    assert node.run("wipefs", "--no-act", late.device).stdout.count("xfs") == 1
    assert digest(node.disks[0]) == before


def test_two_disks_where_one_is_wanted_are_refused(machines: Lab, one_slot: Site) -> None:
    node = machines.add_node("machine1", disks=(DISK_BYTES, DISK_BYTES))
    before = [digest(disk) for disk in node.disks]
    agent = Agent(node, make_seed(one_slot, 1, ANY_LOOP))
    agent.start()
    wait_until("refused", [agent], lambda: says(agent, "failed", *(disk.device for disk in node.disks)))
    status = status_of(agent)
    assert "wants 1 more disk(s), and more than that match" in status.reason
    assert "overrides" in status.hint
    assert [digest(disk) for disk in node.disks] == before


def test_a_disk_with_content_is_refused(machines: Lab, one_slot: Site) -> None:
    node = machines.add_node("machine1", disks=(DISK_BYTES,))
    disk = node.disks[0]
    command("mkfs.ext4", "-q", "-L", "precious", disk.device)
    before = digest(disk)
    agent = Agent(node, make_seed(one_slot, 1, disk.device))
    agent.start()
    wait_until("refused", [agent], lambda: says(agent, "failed", disk.device, "ext4 signature labelled precious"))
    assert "erase it by hand" in status_of(agent).hint
    assert digest(disk) == before
    asked = node.run(*agent.argv_of("status"), check=False)
    assert asked.returncode == Exit.FAILED
    assert "precious" in asked.stdout


def test_a_disk_with_data_but_no_signature_is_refused(machines: Lab, one_slot: Site) -> None:
    node = machines.add_node("machine1", disks=(DISK_BYTES,))
    disk = node.disks[0]
    with disk.file.open("r+b") as image:
        image.seek(4096)
        image.write(b"an encrypted volume looks like this")
    before = digest(disk)
    agent = Agent(node, make_seed(one_slot, 1, disk.device))
    agent.start()
    wait_until("refused", [agent], lambda: says(agent, "failed", "data without a known signature"))
    assert digest(disk) == before


def test_the_brick_of_another_site_is_refused(machines: Lab, tmp_path: Path) -> None:
    first, second = make_site(tmp_path, slots=1, name="first"), make_site(tmp_path, slots=1, name="second")
    node = machines.add_node("machine1", disks=(DISK_BYTES,))
    disk = node.disks[0]
    agent = Agent(node, make_seed(first, 1, disk.device))
    agent.start()
    wait_until("it has a brick", [agent], lambda: "disks" in agent.journal.phases)
    node.power_off()
    agent.forget()
    other = machines.add_node("machine2")
    other.disks.append(disk)
    node.disks.remove(disk)
    other.power_off()
    other.power_on()
    before = digest(disk)
    stranger = Agent(other, make_seed(second, 1, disk.device))
    stranger.start()
    wait_until("refused", [stranger], lambda: says(stranger, "failed", "labelled trivet-brick"))
    assert digest(disk) == before
