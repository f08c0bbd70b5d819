"""A destroyed node whose bricks can't be taken out is replaced under its own name, and takes its place in Gluster."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder.site.folder import Site, create_site
from firstboot.gluster.client import parse_status
from firstboot.paths import DOMAINS, GLUSTERD_INFO, brick_mount, brick_path
from firstboot.plan import SlotPlan, VolumePlan, VolumeType
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.authority import stolen_from
from tests.netns.dying import DEATHS
from tests.netns.looks import gluster, own_uuid, pool, volumes
from tests.netns.namespaces import Lab, Node, die_with_parent
from tests.netns.sites import BRICKS, DISK_BYTES, DOMAIN, VOLUME, make_plan
from tests.netns.test_removal import digest_of, order, refusal, refuse_who_was_removed, rotated, seed_again, start
from tests.netns.writer import Writer

FOLDER = DOMAINS / DOMAIN
PATH = FOLDER / "written"
LISTED, FILES = FOLDER / "listed", 24
MOMENTS = ("peers written", "place taken", "marked", "begun", "reset")
DYING = Path(__file__).with_name("dying.py")
END, TROUBLE = "/srv/end-reader", "/srv/reader.log"
ATTEMPTS_S = 8.0
"""glusterd tries to connect every three seconds."""
READER = f"""
import hashlib, os, pathlib, sys
folder, wanted, count = pathlib.Path(sys.argv[1]), sys.argv[2], 0

def found():
    content = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        content.update(name.encode() + (folder / name).read_bytes())
    return content.hexdigest(), sorted(os.listdir(folder))

while not os.path.exists("{END}") or not count:
    root = set(os.listdir(folder.parent))
    if not {{folder.name, "{PATH.name}"}} <= root:
        sys.exit(f"round {{count}}: {{root}} is all that is there")
    content, names = found()
    if content != wanted:
        sys.exit(f"round {{count}}: {{names}}")
    count += 1
"""


class Reader:
    """Lists the volume's root and a folder, and reads its files, all the time: they must always be the same."""

    def __init__(self, node: Node, wanted: str) -> None:
        self._node = node
        argv = node.argv("sh", "-c", f'exec "$0" -c "$@" 2> {TROUBLE}', sys.executable, READER, LISTED, wanted)
        self._process = subprocess.Popen(argv, start_new_session=True, preexec_fn=die_with_parent)

    def end(self) -> None:
        self._node.run("touch", END)
        assert self._process.wait(timeout=120) == 0, self._node.read(TROUBLE)


def fill(node: Node) -> str:
    """Files to be read all the time; the digest that a reader finds."""
    program = f"""
import hashlib, os, pathlib
folder, content = pathlib.Path("{LISTED}"), hashlib.sha256()
folder.mkdir()
for name in sorted(f"file{{n}}" for n in range({FILES})):
    data = os.urandom(40000)
    (folder / name).write_bytes(data)
    content.update(name.encode() + data)
print(content.hexdigest())
"""
    return node.run(sys.executable, "-c", program).stdout.strip()


def site_of(folder: Path, slots: int, volume: VolumePlan) -> Site:
    places = tuple(SlotPlan(number=n, name=f"node{n}") for n in range(1, slots + 1))
    plan = make_plan(3).model_copy(update={"slots": places, "volumes": (volume,)})
    return create_site(folder / "lab", "lab", plan)


def waits_for(agents: list[Agent], slot: int) -> bool:
    """Whether all say that the volume waits for that slot's next machine."""
    wanted = f"volumes: volume {VOLUME} waits for the machine that replaces node{slot} in slot {slot}"
    statuses = [agent.status for agent in agents]
    return all(status is not None and wanted in status.problems for status in statuses)


def content_of(node: Node) -> str:
    """What a brick holds: each file's path and digest."""
    brick = brick_path(VOLUME, 0)
    find = f"cd {brick} && find . -path ./.glusterfs -prune -o -type f -print | sort | xargs -r sha256sum"
    return node.run("sh", "-c", find).stdout


def online(node: Node) -> int:
    return len(parse_status(gluster(node, "volume", "status", VOLUME)))


def require_in_place(agents: list[Agent], gone: Agent, node_id: str, bricks: int) -> None:
    """It is shut out, and its place is kept."""
    for agent in agents:
        (volume,) = volumes(agent.node)
        assert len(volume.bricks) == bricks
        assert node_id not in volume.options["auth.ssl-allow"]
        assert len(pool(agent.node).peers) == len(agents)
        assert gone.node.address not in agent.node.run("nft", "list", "set", "inet", "trivet", "members4").stdout


def start_dying(machines: Lab, name: str, site: Site, slot: int, moments: tuple[str, ...]) -> Agent:
    """A new machine whose agent dies at each of the moments; its node then loses power."""
    agent = Agent(machines.add_node(name, disks=(DISK_BYTES,)), None)
    agent.seed = seed_again(site, slot, agent.node.disks[0].device)
    agent.program = (sys.executable, str(DYING), ",".join(moments))
    agent.start()
    return agent


def live_through(agent: Agent, others: list[Agent], moments: tuple[str, ...]) -> None:
    """Each death in turn: power off, power on."""
    for number, moment in enumerate(moments, 1):
        assert agent.process is not None
        process = agent.process
        wait_until(f"it dies: {moment}", [*others], lambda process=process: process.poll() is not None)  # type: ignore[misc]
        assert (agent.node.read(DEATHS) or "").splitlines() == list(moments[:number])
        agent.node.power_off()
        agent.forget()
        agent.node.power_on()
        agent.start()


@pytest.mark.parametrize("moments", [(), pytest.param(MOMENTS, marks=pytest.mark.full)], ids=["", "dying"])
def test_a_data_node_beside_an_arbiter_is_replaced(machines: Lab, tmp_path: Path, moments: tuple[str, ...]) -> None:
    # Whoever can be read from is read from in this order: the new machine's brick is the first.
    first = {"cluster.read-hash-mode": "0"}
    volume = VolumePlan(name=VOLUME, type=VolumeType.ARBITER, replica=3, bricks=BRICKS, options=first)
    site = site_of(tmp_path, 3, volume)
    founder, second, third = agents = [start(machines, f"machine{slot}", site, slot) for slot in (1, 2, 3)]
    left = [second, third]
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    writer = Writer(second.node, PATH)
    writer.get_on(agents)
    wanted = fill(third.node)
    reader = Reader(third.node, wanted)
    old, place = stolen_from(founder.node), own_uuid(founder.node)
    founder.node.power_off()
    founder.forget()

    said = refusal(third, "remove", "1")
    assert "keeps 1 of 2 data copies and the arbiter, until a machine replaces the node in its slot" in said
    order(third, "remove", "1", "--yes")
    wait_until("another authority", left, lambda: rotated(left))
    wait_until("its place waits", left, lambda: waits_for(left, 1))
    require_in_place(left, founder, old.node_id, 3)
    assert "keeps data on it that is nowhere else: nothing was changed" in refusal(third, "remove", "2", "--yes")
    writer.get_on(left)
    refuse_who_was_removed(founder, old, second, third)

    order(second, "slot", "release", "1")
    fourth = start_dying(machines, "machine4", site, 1, moments)
    live_through(fourth, left, moments)
    now = [second, third, fourth]
    wait_until("replaced", now, lambda: writer.count > 0 and all(is_formed(agent) for agent in now))
    assert own_uuid(fourth.node) == place
    assert (fourth.node.read(GLUSTERD_INFO) or "").count(place) == 1
    late = Reader(fourth.node, wanted)
    refuse_its_glusterd(founder.node, place, now)
    writer.get_on(now)
    assert all(is_formed(agent) for agent in now)
    writer.end()
    reader.end()
    late.end()
    require_replaced(now, [second.node, fourth.node], 3)
    assert digest_of(fourth.node, PATH) == digest_of(second.node, PATH)


def refuse_its_glusterd(gone: Node, place: str, agents: list[Agent]) -> None:
    """The removed node's glusterd runs again, whatever its agent says, under the UUID that another one has now."""
    gone.power_on()
    gone.run("systemctl", "start", "glusterd")
    wait_until("it runs", agents, lambda: gone.run("gluster", "pool", "list", check=False).returncode == 0)
    assert own_uuid(gone) == place
    time.sleep(ATTEMPTS_S)
    assert not any(peer.connected for peer in pool(gone).peers)
    for agent in agents:
        assert all(peer.is_settled for peer in pool(agent.node).peers)
    gone.power_off()


def require_replaced(agents: list[Agent], copies: list[Node], bricks: int) -> None:
    """The volume is as the plan says, all of it runs, and its copies are the same, file by file."""
    wait_until("healed", agents, lambda: len({content_of(node) for node in copies}) == 1)
    assert content_of(copies[0]).count("listed/file"), "nothing was compared"
    for agent in agents:
        (volume,) = volumes(agent.node)
        assert (volume.replica, len(volume.bricks)) == (3, bricks)
        assert len(pool(agent.node).peers) == len(agents) - 1
        assert online(agent.node) == bricks
        assert all(peer.is_settled for peer in pool(agent.node).peers)
    names = [path for node in copies for path in node.run("ls", "-A", brick_mount(VOLUME, 0)).stdout.split()]
    assert ".trivet-empty" not in names


@pytest.mark.full
def test_one_of_six_nodes_is_replaced(machines: Lab, tmp_path: Path) -> None:
    """Two sets of three copies: none can be taken out of one set alone."""
    volume = VolumePlan(name=VOLUME, type=VolumeType.REPLICATE, replica=3, bricks=BRICKS)
    site = site_of(tmp_path, 6, volume)
    agents = [start(machines, f"machine{slot}", site, slot) for slot in range(1, 7)]
    wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
    writer = Writer(agents[0].node, PATH)
    writer.get_on(agents)
    wanted = fill(agents[1].node)
    readers = [Reader(agents[2].node, wanted)]
    gone, left = agents[4], [agent for agent in agents if agent is not agents[4]]
    node_id, place = stolen_from(gone.node).node_id, own_uuid(gone.node)
    gone.node.power_off()
    gone.forget()

    assert f"volume {VOLUME} keeps 2 of 3 copies, until a machine" in refusal(left[0], "remove", "5")
    order(left[0], "slot", "release", "5", "--yes")
    wait_until("another authority", left, lambda: rotated(left))
    wait_until("its place waits", left, lambda: waits_for(left, 5))
    require_in_place(left, gone, node_id, 6)
    writer.get_on(left)
    heir = start(machines, "machine7", site, 5)
    now = [*left, heir]
    wait_until("replaced", now, lambda: writer.count > 0 and all(is_formed(agent) for agent in now))
    assert own_uuid(heir.node) == place
    readers.append(Reader(heir.node, wanted))
    writer.get_on(now)
    writer.end()
    for reader in readers:
        reader.end()
    require_replaced(now, [agents[3].node, agents[5].node, heir.node], 6)
    assert digest_of(heir.node, PATH) == digest_of(agents[0].node, PATH)
