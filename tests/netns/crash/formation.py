"""One formation of three nodes, disturbed at one point: killed there, started again, and looked at in the end."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from firstboot.cluster.claims import ClaimsDocument
from firstboot.gluster.client import GlusterError
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.crash.endstate import contradictions, differences, of_cluster
from tests.netns.crash.plan import Case, Result
from tests.netns.crash.points import Order, Record, read_record
from tests.netns.namespaces import Lab, LabError, Node, lab
from tests.netns.sites import DISK_BYTES, make_seed, make_site

NODES = 3
ROLES = {"founder": 1, "follower": 2}
"""The slot that a role is looked at in. The founder is the lowest slot; one follower is as good as another."""
STALL_S = 600.0
"""Nothing changes for so long: it does not converge. glusterd keeps the lock of a lost change for six minutes."""
LAG_S = 1.0
SETTLE_S = 60.0
"""How long a formed cluster may take until what is looked at from outside stands too, bricks online for instance."""
LOOK_S = 0.01
ASKED = (
    ("gluster", "--xml", "pool", "list"),
    ("gluster", "peer", "status"),
    ("gluster", "volume", "info"),
    ("gluster", "volume", "status"),
    ("grep", "-r", ".", "/var/lib/glusterd/peers", "/var/lib/glusterd/glusterd.info"),
    ("find", "/var/lib/trivet", "/var/lib/glusterd/peers", "-ls"),
)
"""What a failure is looked at with afterwards."""
RUNNER = Path(__file__).parent / "runner.py"


@dataclass
class Recorded(Agent):
    """An agent under the interceptor; each of its runs leaves a record."""

    records: list[Path] = field(default_factory=list)
    gate: int = -1

    def begin(self, order: Order) -> None:
        """Start it with an order."""
        self.records.append(self.node.folder / f"record-{len(self.records)}.jsonl")
        record = os.open(self.records[-1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        waits, self.gate = os.pipe()
        self.program = (sys.executable, str(RUNNER), str(record), str(waits), order.dump(), "--")
        self.handles = (record, waits)
        try:
            self.start()
        finally:
            os.close(record)
            os.close(waits)

    def let_go(self) -> None:
        """It waits at its point, and is not the one to be killed."""
        os.write(self.gate, b"!")

    def record(self, run: int = -1) -> Record:
        with self.records[run].open() as lines:
            return read_record(lines)

    @property
    def hit(self) -> bool:
        """Whether it got to the point; cheap, because it is asked all the time."""
        return b'"hit"' in self.records[-1].read_bytes()

    def kept(self, name: str) -> str | None:
        """A file of its state as it is on the disk, with the node on or off."""
        try:
            return (self.node.folder / "var-lib" / "trivet" / name).read_text()
        except FileNotFoundError:
            return None


def start_nodes(place: Lab, folder: Path) -> list[Recorded]:
    """Three machines of one site, each with its brick disk and one that must stay blank."""
    site = make_site(folder, slots=NODES)
    agents = []
    for number in range(1, NODES + 1):
        node = place.add_node(f"machine{number}", disks=(DISK_BYTES, DISK_BYTES))
        agents.append(Recorded(node, make_seed(site, number, node.disks[0].device)))
    return agents


def undisturbed(founds: bool) -> Order:
    """The order of a first run."""
    return Order(lag_s=LAG_S if founds else 0.0)


def formed(agents: list[Recorded]) -> bool:
    return all(is_formed(agent) for agent in agents)


def await_formed(agents: list[Recorded], until: Callable[[], bool] = lambda: False) -> None:
    """Wait until all have formed, or something else is there."""
    wait_until("formed", list(agents), lambda: until() or formed(agents), stall_s=STALL_S)


def form_cleanly(keep: Path) -> tuple[dict[str, Record], dict[str, str]]:
    """An undisturbed formation: what each role did, and the state that it ended in. Its logs go to `keep`."""
    with lab() as place, tempfile.TemporaryDirectory() as folder:
        agents = start_nodes(place, Path(folder))
        try:
            for agent in agents:
                agent.begin(undisturbed(agent is agents[0]))
            await_formed(agents)
            found = contradictions(list(agents))
            if found:
                raise LabError(f"an undisturbed formation is not as it should be: {found}")
            state = of_cluster(list(agents))
            return {role: agents[slot - 1].record() for role, slot in ROLES.items()}, state
        finally:
            save(agents, keep)


def run_case(case: Case, clean: dict[str, str], keep: Path) -> Result:
    """Disturb a formation once. Logs of a failure go to `keep`."""
    began = time.monotonic()
    agents: list[Recorded] = []
    try:
        with lab() as place, tempfile.TemporaryDirectory() as folder:
            agents = start_nodes(place, Path(folder))
            try:
                result = disturb(agents, case, clean)
            except Exception as error:
                result = Result("failed", why=(f"{type(error).__name__}: {error}",))
            if result.outcome == "failed":
                save(agents, keep)
    except LabError as error:
        result = Result("failed", why=(f"the lab: {error}",))
    return replace(result, took_s=round(time.monotonic() - began, 1))


def disturb(agents: list[Recorded], case: Case, clean: dict[str, str]) -> Result:
    """Form with a kill; what came of it."""
    watched = agents[ROLES[case.role] - 1]
    for agent in agents:
        order = undisturbed(agent is agents[0])
        if agent is watched:
            order = replace(order, point=case.point, with_node=case.kind != "agent", delay_s=case.delay_s)
        agent.begin(order)
    if not reach(agents, watched):
        return Result("not reached", why=tuple(differences(clean, of_cluster(list(agents)))))
    killed_at = time.monotonic()
    known = remembered(watched)
    late = watched.record().late
    kill(agents, watched, case)
    await_formed(agents)
    recovery_s = round(time.monotonic() - killed_at, 1)
    why = settled(agents, clean)
    why += [f"forgotten in the crash: {what}" for what in known if what not in remembered(watched)]
    return Result("failed" if why else "converged", 0.0, recovery_s, late, tuple(why))


def reach(agents: list[Recorded], watched: Recorded) -> bool:
    """Wait until the watched agent is where it is to be killed; False when all have formed without that."""
    assert watched.process is not None
    process = watched.process
    watched.process = None  # it may die; that is not the end of the wait

    def there() -> bool:
        limit = time.monotonic() + 0.2
        while not watched.hit:
            if process.poll() is not None and not watched.hit:
                raise LabError(f"the agent of {watched.node.name} ended by itself:\n{watched.tail()}")
            if time.monotonic() > limit:
                return False
            time.sleep(LOOK_S)
        return True

    try:
        await_formed(agents, there)
    finally:
        watched.process = process
    return watched.hit


def slots_off(case: Case) -> tuple[int, ...]:
    """The slots whose nodes lose power."""
    own, follower = ROLES[case.role], ROLES["follower"]
    return {"agent": (), "node": (own,), "peer": (follower,), "site": tuple(range(1, NODES + 1))}[case.kind]


def kill(agents: list[Recorded], watched: Recorded, case: Case) -> None:
    """Kill whom the case names, and start them again."""
    victims = [agents[slot - 1] for slot in slots_off(case)]
    for agent in victims:
        agent.node.power_off()
    for agent in victims or [watched]:
        agent.forget()
    if victims and watched not in victims:
        watched.let_go()
    for agent in victims:
        agent.node.power_on()
    for agent in victims or [watched]:
        agent.begin(Order())


def remembered(agent: Recorded) -> set[str]:
    """What its disk has that no crash may take away: its key, its votes, its decisions."""
    claims, key = agent.kept("claims.json"), agent.kept("node.key")
    found = {f"key {hash(key)}"} if key else set()
    if claims:
        votes = ClaimsDocument.model_validate_json(claims)
        found |= {f"vote {slot} {node}" for slot, node in votes.claims.items()}
        found |= {f"ready {json.dumps(asdict(votes.ready), sort_keys=True)}"} if votes.ready else set()
        found |= {f"founder {votes.founder}"} if votes.founder else set()
    return found


def settled(agents: list[Recorded], clean: dict[str, str]) -> list[str]:
    """What is not as after an undisturbed formation, once nothing gets better any more."""
    limit = time.monotonic() + SETTLE_S
    while True:
        try:
            why = differences(clean, of_cluster(list(agents)))
        except GlusterError as error:  # the agents ask it too, and only one transaction at a time is let in
            why = [error.message]
        if not why or time.monotonic() > limit:
            return [*why, *contradictions(list(agents))]
        time.sleep(0.5)


def save(agents: list[Recorded], keep: Path) -> None:
    """Copy what the nodes said."""
    for agent in agents:
        target = keep / agent.node.name
        target.mkdir(parents=True, exist_ok=True)
        for path in (*agent.logs, *agent.records, *daemon_logs(agent.node)):
            (target / path.name).write_bytes(path.read_bytes())
        if agent.node.process is not None:
            said = [agent.node.run(*words, check=False) for words in ASKED]
            (target / "facts.txt").write_text("\n".join(f"{done.stdout}{done.stderr}" for done in said))


def daemon_logs(node: Node) -> list[Path]:
    return sorted((node.folder / "log").rglob("*.log"))
