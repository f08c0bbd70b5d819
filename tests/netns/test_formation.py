"""Three machines from nothing to a formed cluster, with the real agent, glusterd and libvirtd."""

from __future__ import annotations

import signal

import testinfra

from firstboot.gluster.options import parse_group
from firstboot.paths import DOMAINS, JOURNAL, NODE_KEY, SEED, brick_mount, brick_path
from tests.netns.agents import is_formed, says, wait_until
from tests.netns.conftest import Cluster
from tests.netns.looks import changing, listening, pool, standing, volumes
from tests.netns.sites import DOMAIN, VOLUME

NAMES = ["node1", "node2", "node3"]
STABLE = [f"{name}.lab.trivet.internal" for name in NAMES]


def test_every_node_says_what_stands(cluster: Cluster) -> None:
    for agent in cluster.agents:
        status = agent.status
        assert status is not None
        assert [p.name for p in status.peers if p.connected] == [n for n in NAMES if n != status.name]
        (volume,) = status.volumes
        assert (volume.name, volume.type, volume.status) == (VOLUME, "Replicate", "Started")
        assert [(b.node, b.online) for b in volume.bricks] == [(name, True) for name in NAMES]
        (domain,) = status.domains
        assert (domain.name, domain.registrar, domain.volume, domain.state) == (DOMAIN, "libvirt", VOLUME, "active")


def test_the_founder_was_killed_before_it_had_formed_anything(cluster: Cluster) -> None:
    assert "found" in cluster.killed_at
    assert "domains" not in cluster.killed_at


def test_gluster_itself_agrees_on_each_node(cluster: Cluster) -> None:
    for agent, own in zip(cluster.agents, STABLE, strict=True):
        peers = pool(agent.node).peers
        assert sorted(p.names[0] for p in peers) == [name for name in STABLE if name != own]
        assert all(p.is_settled for p in peers)
        (volume,) = volumes(agent.node)
        assert volume.bricks == tuple(f"{name}:{brick_path(VOLUME, 0)}" for name in STABLE)
        assert (volume.status, volume.replica, volume.arbiter) == ("Started", 3, 0)


def test_the_volume_is_tuned_for_guests_and_by_the_plan(cluster: Cluster) -> None:
    node = cluster.agents[0].node
    (volume,) = volumes(node)
    group = parse_group(node.read("/var/lib/glusterd/groups/virt") or "")
    assert len(group) > 10
    assert {**group, "network.ping-timeout": "11"}.items() <= volume.options.items()


def test_testinfra_finds_each_node_in_order(cluster: Cluster) -> None:
    for agent, name in zip(cluster.agents, NAMES, strict=True):
        host = testinfra.get_host(f"netns://{agent.node.pid}")
        mount = host.mount_point(str(brick_mount(VOLUME, 0)))
        assert mount.exists
        assert mount.filesystem == "xfs"
        assert {"noatime", "inode64"} <= set(mount.options)
        assert mount.device == agent.node.disks[0].device
        domain = host.mount_point(str(DOMAINS / DOMAIN))
        assert domain.filesystem == "fuse.glusterfs"
        assert domain.device == f"{name}.lab.trivet.internal:/{VOLUME}"
        for path in (SEED, NODE_KEY, JOURNAL):
            assert host.file(str(path)).mode == 0o600
        assert host.socket("tcp://0.0.0.0:24007").is_listening
        listed = host.check_output("virsh -c qemu:///system pool-list --all --details").splitlines()[2].split()
        assert listed[:3] == [DOMAIN, "running", "yes"]


def test_a_file_written_on_one_node_is_read_on_the_others(cluster: Cluster) -> None:
    first, *others = [agent.node for agent in cluster.agents]
    path = DOMAINS / DOMAIN / "written-here"
    first.run("sh", "-c", f"echo from {first.name} > {path} && sync -f {path}")
    for node in others:
        assert node.run("cat", path).stdout == f"from {first.name}\n"
    first.run("rm", path)


def test_libvirt_makes_an_image_that_every_node_sees(cluster: Cluster) -> None:
    first, *others = [agent.node for agent in cluster.agents]
    first.run("virsh", "-c", "qemu:///system", "vol-create-as", DOMAIN, "guest.raw", "8M", "--format", "raw")
    for node in others:
        node.run("virsh", "-c", "qemu:///system", "pool-refresh", DOMAIN)
        assert "guest.raw" in node.run("virsh", "-c", "qemu:///system", "vol-list", DOMAIN).stdout
    first.run("virsh", "-c", "qemu:///system", "vol-delete", "guest.raw", "--pool", DOMAIN)


def test_a_second_run_changes_nothing(cluster: Cluster) -> None:
    before = [standing(agent.node) for agent in cluster.agents]
    for agent in cluster.agents:
        agent.stop()
    for agent in cluster.agents:
        agent.start()
    wait_until("formed again", cluster.agents, lambda: all(is_formed(agent) for agent in cluster.agents))
    for agent, known in zip(cluster.agents, before, strict=True):
        assert len(agent.commands()) > 10
        assert changing(agent.commands()) == []
        assert standing(agent.node) == known


def test_a_node_that_lost_power_comes_back_by_itself(cluster: Cluster) -> None:
    lost = cluster.agents[1]
    lost.node.power_off()
    lost.forget()
    others = [cluster.agents[0], cluster.agents[2]]
    wait_until(
        "the others name the brick that is gone",
        others,
        lambda: all(a.status and any("node2" in problem for problem in a.status.problems) for a in others),
    )
    survivor = others[0]
    survivor.stop()
    survivor.start()
    wait_until("a survivor comes up without it", [survivor], lambda: says(survivor, "done", "formed"))
    wait_until("and says so", [survivor], lambda: bool(survivor.status and survivor.status.problems))
    assert survivor.status is not None
    assert [d.state for d in survivor.status.domains] == ["active"]
    missed = "written while node2 was away"
    survivor.node.run("sh", "-c", f"echo {missed} > {DOMAINS / DOMAIN}/missed && sync -f {DOMAINS / DOMAIN}/missed")
    lost.node.power_on()
    assert "24007" not in listening(lost.node)
    lost.start()
    wait_until("formed again", cluster.agents, lambda: all(is_formed(agent) for agent in cluster.agents))
    brick = brick_path(VOLUME, 0) / "missed"
    wait_until("what it missed is healed", [lost], lambda: lost.node.read(brick) == f"{missed}\n")
    made = ("mkfs.xfs", "gluster --mode=script --xml peer", "gluster --mode=script --xml volume create")
    assert not [command for command in lost.commands() if command.startswith(made)]
    host = testinfra.get_host(f"netns://{lost.node.pid}")
    assert host.mount_point(str(brick_mount(VOLUME, 0))).exists
    assert host.mount_point(str(DOMAINS / DOMAIN)).filesystem == "fuse.glusterfs"


def test_a_storage_domain_whose_mount_died_is_mounted_again(cluster: Cluster) -> None:
    agent = cluster.agents[2]
    target = DOMAINS / DOMAIN
    client = agent.node.run("pgrep", "-f", f"^/usr/sbin/glusterfs .*{target}$").stdout.split()
    assert len(client) == 1
    agent.node.run("kill", f"-{signal.SIGKILL.value}", *client)
    assert agent.node.run("ls", target, check=False).returncode != 0
    wait_until("mounted again", [agent], lambda: agent.node.run("ls", target, check=False).returncode == 0)
    wait_until("no problem left", [agent], lambda: is_formed(agent))
