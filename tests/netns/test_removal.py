"""The founder is destroyed: another member removes it, a new machine takes its place, and all the while data is there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.site.slots import issue_seed
from firstboot.cluster.authority import split_pem
from firstboot.errors import Exit
from firstboot.paths import AUTHORITY_ISSUER, DOMAINS, NODE_CERTIFICATE, REGISTER, TRUSTED
from firstboot.seed import Overrides
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.looks import pool, volumes
from tests.netns.namespaces import Lab, Node, die_with_parent
from tests.netns.sites import DISK_BYTES, DOMAIN, make_seed, make_site

PATH = DOMAINS / DOMAIN / "written"
END = "/srv/end-writer"
WRITER = f"""
import hashlib, os, pathlib, sys
path, end, count = pathlib.Path(sys.argv[1]), pathlib.Path("{END}"), 0
while not end.exists():
    block = hashlib.sha256(b"%d" % count).digest() * 128
    with open(path, "r+b" if path.exists() else "wb") as file:
        file.seek(4096 * (count % 64))
        file.write(block)
        file.flush()
        os.fsync(file.fileno())
    with open(path, "rb") as file:
        file.seek(4096 * (count % 64))
        if file.read(4096) != block:
            sys.exit(f"block {{count}} is not what was written")
    count += 1
print(count)
"""


def order(agent: Agent, *words: str) -> subprocess.CompletedProcess[str]:
    return agent.node.run(*agent.argv_of(*words), check=False)


def members(agent: Agent) -> dict[str, object]:
    found = json.loads(agent.node.read(REGISTER) or "{}")["members"]
    assert isinstance(found, dict)
    return found


def rotated(agents: list[Agent]) -> bool:
    """Whether one authority is trusted, the same by all, and the document has that alone."""
    documents = [members(agent) for agent in agents]
    trusted = {agent.node.read(TRUSTED) or "" for agent in agents}
    return (
        all(len(document["authorities"]) == 1 and document["rotated"] for document in documents)  # type: ignore[arg-type]
        and len(trusted) == 1
        and len(split_pem(trusted.pop())) == 1
    )


def test_a_destroyed_founder_is_removed_and_replaced(machines: Lab, tmp_path: Path) -> None:
    site = make_site(tmp_path, slots=3)
    agents = []
    for number in (1, 2, 3):
        node = machines.add_node(f"machine{number}", disks=(DISK_BYTES,))
        agents.append(Agent(node, make_seed(site, number, node.disks[0].device)))
        agents[-1].start()
    founder, second, third = agents
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    old = founder.node.read(TRUSTED)
    founder.node.power_off()
    founder.forget()
    left = [second, third]
    done = order(third, "slot", "list")
    assert done.returncode == Exit.OK, done.stderr
    print(done.stdout)
    done = order(third, "remove", "1", "--yes")
    assert done.returncode == Exit.OK, done.stderr
    print(done.stdout)
    wait_until("rotated", left, lambda: rotated(left))
    wait_until("one peer", left, lambda: all(len(pool(agent.node).peers) == 1 for agent in left))
    (volume,) = volumes(second.node)
    assert (volume.replica, len(volume.bricks)) == (2, 2)
