"""One machine is dead on arrival: an operator has the others go on without it, and is told what that costs."""

from __future__ import annotations

import json
from pathlib import Path

from firstboot.cluster.presence import Patience
from firstboot.errors import Exit
from firstboot.paths import DOMAINS, REGISTER
from tests.netns.agents import Agent, is_formed, says, wait_until
from tests.netns.looks import pool, volumes
from tests.netns.namespaces import Lab
from tests.netns.sites import DISK_BYTES, DOMAIN, VOLUME, make_seed, make_site, with_disks


def test_a_site_forms_without_a_dead_machine(machines: Lab, tmp_path: Path) -> None:
    site = make_site(tmp_path, slots=3)
    agents = with_disks(machines, site, 2)
    for agent in agents:
        agent.start()
    first, second = agents
    wait_until("they miss node3", agents, lambda: all(says(a, "waiting", "slot 3 (node3)") for a in agents))

    def order(*words: str) -> tuple[int, str, str]:
        done = second.node.run(*second.argv_of("form", "--without", *words), check=False)
        return done.returncode, done.stdout, done.stderr

    code, _, said = order("node1", "--yes")
    assert (code, "slot 1 was heard of" in said) == (Exit.REFUSED, True)
    code, _, said = order("3", "--without", "1", "--yes")
    assert (code, "1 of 3 slots are not more than half" in said) == (Exit.REFUSED, True)
    code, _, said = order("node4", "--yes")
    assert (code, "the site has no slot node4" in said) == (Exit.BAD_INPUT, True)
    code, _, said = order("3")
    assert code == Exit.REFUSED, "nobody confirmed it"
    assert f"volume {VOLUME} has 2 copies instead of 3; heals to 3 when the machine comes" in said
    assert [agent.journal.founder_slot for agent in agents] == [None, None]

    refused: list[str] = []

    def agreed() -> bool:
        code, out, said = order("3", "--yes", "--json")
        if code == Exit.OK:
            assert json.loads(out)["names"] == ["node3"]
            return True
        refused.append(said)
        return False

    wait_until("it was looked for long enough", agents, agreed, stall_s=5 * Patience().grace_s)
    assert any("60 s are needed" in said for said in refused), "it was taken for absent at once"
    wait_until("formed", agents, lambda: all(a.status and a.status.phase == "formed" for a in agents))
    assert [agent.journal.founder_slot for agent in agents] == [1, 1]
    assert len(pool(first.node).peers) == 1
    (volume,) = volumes(second.node)
    assert (volume.status, volume.replica, len(volume.bricks)) == ("Started", 2, 2)
    lacks = f"volume {VOLUME} has 2 of 3 bricks, without node3"
    wait_until("they say what is missing", agents, lambda: all(lacks in str(a.status) for a in agents))
    assert "the cluster was founded without" not in str(first.status)
    path = DOMAINS / DOMAIN / "written"
    first.node.run("sh", "-c", f"echo here > {path} && sync -f {path}")
    assert second.node.run("cat", path).stdout == "here\n"

    node = machines.add_node("machine3", disks=(DISK_BYTES,))
    third = Agent(node, make_seed(site, 3, node.disks[0].device))
    third.start()
    everybody = [first, second, third]
    wait_until("the machine that came later is a member", everybody, lambda: all(is_formed(a) for a in everybody))
    (volume,) = volumes(third.node)
    assert (volume.status, volume.replica, len(volume.bricks)) == ("Started", 3, 3)
    assert third.node.run("cat", path).stdout == "here\n"
    registers = [json.loads(a.node.read(REGISTER) or "{}")["members"] for a in everybody]
    assert [members["epoch"] for members in registers] == [2, 2, 2]
    assert registers[0] == registers[1] == registers[2]
