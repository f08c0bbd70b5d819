"""The founder is destroyed: a member removes it, a new machine gets its slot, and all the while data is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from builder.site.folder import Site
from builder.site.laterslots import Wish, add_slot
from builder.site.slots import issue_seed
from firstboot.cluster.authority import split_pem
from firstboot.errors import Exit
from firstboot.paths import ADMISSION_PORT, DOMAINS, GLUSTERD_PORT, REGISTER, TRUSTED, brick_path
from firstboot.plan import DiskRule
from firstboot.seed import Overrides, Seed
from tests.netns import asking
from tests.netns.agents import Agent, is_formed, says, wait_until
from tests.netns.authority import stolen_from
from tests.netns.intruder import connects
from tests.netns.looks import brick_ports, listening, pool, volumes
from tests.netns.namespaces import Lab, Node
from tests.netns.sites import BRICKS, DISK_BYTES, DOMAIN, VOLUME, make_site
from tests.netns.writer import Writer

PATH = DOMAINS / DOMAIN / "written"


def order(agent: Agent, *words: str) -> dict[str, Any]:
    """What came of an order that is carried out."""
    done = agent.node.run(*agent.argv_of(*words, "--json"), check=False)
    assert done.returncode == Exit.OK, done.stderr
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def refusal(agent: Agent, *words: str) -> str:
    """Why an order is not carried out."""
    done = agent.node.run(*agent.argv_of(*words), check=False)
    assert done.returncode not in (Exit.OK, Exit.FAILED), done.stdout
    return done.stderr


def register(agent: Agent) -> dict[str, Any]:
    members = json.loads(agent.node.read(REGISTER) or "{}")["members"]
    assert isinstance(members, dict)
    return members


def rotated(agents: list[Agent]) -> bool:
    """Whether there is one authority that all trust, and none besides it."""
    known = [register(agent) for agent in agents]
    trusted = {agent.node.read(TRUSTED) or "" for agent in agents}
    is_single = len(trusted) == 1 and len(split_pem(min(trusted))) == 1
    return is_single and all(members["rotated"] and len(members["authorities"]) == 1 for members in known)


def lacks_one_copy(agent: Agent) -> bool:
    """Whether a node is as it should be, but for the machine that is gone."""
    status = agent.status
    wanted = [f"volumes: volume {VOLUME} has 2 of 3 bricks, without node1"]
    return status is not None and list(status.problems) == wanted


def seed_again(site: Site, slot: int, disk: str) -> Seed:
    rule = DiskRule(path=disk, min_size_bytes=DISK_BYTES // 2)
    return issue_seed(site, slot, overrides=Overrides(disks={BRICKS: rule}), again=True)


def start(machines: Lab, name: str, site: Site, slot: int) -> Agent:
    node = machines.add_node(name, disks=(DISK_BYTES,))
    agent = Agent(node, seed_again(site, slot, node.disks[0].device))
    agent.start()
    return agent


def brick_digests(nodes: list[Node]) -> set[str]:
    return {digest_of(node, brick_path(VOLUME, 0) / PATH.name) for node in nodes}


def digest_of(node: Node, path: Path) -> str:
    """Of a file's content; empty when it is not there."""
    return node.run("sha256sum", path, check=False).stdout.partition(" ")[0]


def test_a_destroyed_founder_is_removed_and_replaced(machines: Lab, tmp_path: Path) -> None:
    site = make_site(tmp_path, slots=3)
    founder, second, third = agents = [start(machines, f"machine{slot}", site, slot) for slot in (1, 2, 3)]
    left = [second, third]
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    assert order(third, "slot", "list")["confirmed"]
    writer = Writer(second.node, PATH)
    writer.get_on(agents)
    old = stolen_from(founder.node)
    founder.node.power_off()
    founder.forget()

    said = refusal(third, "remove", "1")
    assert f"volume {VOLUME} keeps 2 of 3 copies" in said
    assert "not confirmed: nothing was changed" in said
    assert "can't remove itself" in refusal(third, "remove", "node3", "--yes")
    assert order(third, "remove", "1", "--yes")["removed"][0]["slot"] == 1
    wait_until("another authority", left, lambda: rotated(left))
    wait_until("nothing else is wrong", left, lambda: all(lacks_one_copy(agent) for agent in left))
    assert order(second, "remove", old.node_id[:12], "--yes")["epoch"] == register(third)["epoch"], "done twice"
    require_gone(founder, old.node_id, left)
    writer.get_on(left)
    refuse_who_was_removed(founder, old, second, third)

    assert order(second, "slot", "release", "1")["slots"][0]["state"] == "open"
    fourth = start(machines, "machine4", site, 1)
    now = [second, third, fourth]
    wait_until("replaced", now, lambda: writer.count > 0 and all(is_formed(agent) for agent in now))
    (volume,) = volumes(second.node)
    assert (volume.replica, len(volume.bricks)) == (3, 3)
    assert fourth.node.run("hostname").stdout == "node1\n"
    renew_under_load(third, [second, fourth], writer, now)
    writer.end()
    content = digest_of(second.node, PATH)
    wait_until("three copies are the same", now, lambda: brick_digests([a.node for a in now]) == {content})
    assert digest_of(fourth.node, PATH) == content
    add_a_fourth_slot(machines, site, now)


def require_gone(founder: Agent, node_id: str, left: list[Agent]) -> None:
    """A removed node is nowhere on the others."""
    for agent in left:
        (volume,) = volumes(agent.node)
        assert (volume.replica, len(volume.bricks)) == (2, 2)
        assert node_id not in volume.options["auth.ssl-allow"]
        assert len(pool(agent.node).peers) == 1
        assert founder.node.address not in agent.node.run("nft", "list", "set", "inet", "trivet", "members4").stdout
        assert founder.node.address not in (agent.node.read("/etc/hosts") or "")
        assert founder.node.address not in (agent.node.read("/run/trivet/chrony/members.sources") or "")


def refuse_who_was_removed(founder: Agent, old: Any, second: Agent, third: Agent) -> None:
    """It comes back with its disk and its certificates: whatever it tries, from wherever, it is refused."""
    founder.node.power_on()
    founder.start()
    wait_until("it knows", [founder], lambda: says(founder, "waiting", "was removed from the cluster in epoch 2"))
    assert f":{GLUSTERD_PORT} " not in listening(founder.node), "its glusterd runs"
    assert founder.node.run("test", "-s", brick_path(VOLUME, 0) / PATH.name).returncode == 0, "its data is gone"
    there = second.node.address
    ports = {"glusterd": GLUSTERD_PORT, "brick": min(brick_ports(second.node, VOLUME)), "agent": ADMISSION_PORT}
    for port in (ports["glusterd"], ports["brick"]):
        assert not connects(founder.node, there, port), "the packet filter lets it through"
    assert "403" in asking.enrol(founder.node, there), "it got the cluster authority"
    mine = stolen_from(third.node)
    for what, port in ports.items():
        assert asking.is_accepted(third.node, mine, there, port), f"{what}: the attempt itself is no good"
        assert asking.is_refused(third.node, old, there, port), f"{what} takes the old certificate"
    assert f"node {old.node_id} asks for the cluster authority, but is no member" in second.text
    glusterd = second.node.read("/var/log/glusterfs/glusterd.log") or ""
    assert "certificate verify failed" in glusterd or "SSL connect error" in glusterd
    founder.node.power_off()
    founder.forget()


def renew_under_load(agent: Agent, others: list[Agent], writer: Writer, everybody: list[Agent]) -> None:
    """A member has a new certificate, and all of Gluster's connections with it are cut: they come back with that."""
    serial = order(agent, "renew")["serial"]
    cut = agent.node.run("ss", "-H", "--tcp", "--kill", "dst", f"{agent.node.address}/24").stdout
    assert cut.strip(), "there was nothing to cut"
    for other in others:
        shown = asking.serial(other.node, stolen_from(other.node), agent.node.address, GLUSTERD_PORT)
        assert shown == serial, "glusterd shows its former certificate"
    writer.get_on(everybody)
    wait_until("all is well", everybody, lambda: all(is_formed(agent) for agent in everybody))


def add_a_fourth_slot(machines: Lab, site: Site, agents: list[Agent]) -> None:
    """A slot that the members' plan does not have: its machine is one of them, with no brick."""
    site, slot = add_slot(site, Wish())
    late = start(machines, "machine5", site, slot.number)
    wait_until("it waits", [late], lambda: says(late, "waiting", "founded without slot 4 (node4)"))
    assert "the next slot is 4, not 7" in refusal(agents[0], "slot", "add", "7", "node7")
    assert late.seed is not None
    order(agents[0], "slot", "add", "4", "node4", "--seed", late.seed.slot.seed_id)
    everybody = [*agents, late]
    wait_until("four members", everybody, lambda: all(is_formed(agent) for agent in everybody))
    for agent in everybody:
        (volume,) = volumes(agent.node)
        assert (volume.replica, len(volume.bricks)) == (3, 3)
        assert len(pool(agent.node).peers) == 3
        assert f"{late.node.address}\tnode4.lab" in (agent.node.read("/etc/hosts") or "")
    assert digest_of(late.node, PATH) == digest_of(agents[0].node, PATH)
    remove_who_is_alive(late, agents)


def remove_who_is_alive(gone: Agent, agents: list[Agent]) -> None:
    """A member that runs is removed: it stops by itself. The agent of another one is off while the authority that all
    four had is replaced: it gets the new one when it comes back."""
    absent, there = agents[1], [agents[0], agents[2]]
    trusted = absent.node.read(TRUSTED)
    absent.kill()
    said = refusal(agents[0], "slot", "release", "node4")
    assert "answers: it is alive" in said
    assert f"volume {VOLUME} loses nothing" in said
    order(agents[0], "remove", "node4", "--yes")
    wait_until("it knows", [gone], lambda: says(gone, "waiting", "was removed from the cluster in epoch"))
    assert f":{GLUSTERD_PORT} " not in listening(gone.node)
    wait_until("another authority", there, lambda: rotated(there) and there[0].node.read(TRUSTED) != trusted)
    assert absent.node.read(TRUSTED) == trusted
    absent.start()
    wait_until("all is well", agents, lambda: rotated(agents) and all(is_formed(agent) for agent in agents))
    assert all(len(pool(agent.node).peers) == 2 for agent in agents)
    remove_who_has_a_brick(agents[1], there)


def remove_who_has_a_brick(gone: Agent, left: list[Agent]) -> None:
    """It ends its bricks as well, which outlive a glusterd that is only started again."""
    bricks = ("pgrep", "--exact", "glusterfsd")
    assert gone.node.run(*bricks).stdout
    order(left[0], "remove", "node3", "--yes")
    wait_until("it knows", [gone], lambda: says(gone, "waiting", "was removed from the cluster in epoch"))
    assert gone.node.run(*bricks, check=False).stdout == ""
    wait_until("two copies", left, lambda: [v.replica for v in volumes(left[0].node)] == [2])
    assert all(agent.node.run(*bricks).stdout for agent in left)
