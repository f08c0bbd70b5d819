"""`python -m tests.netns.crash.cuts`: glusterd cut off before every change of its store, mended, and looked at.

Three nodes with glusterd alone, no agent: what the agent would do is done here with its own functions. With `--site`
all nodes are cut off at that moment, not one alone. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from firstboot.gluster import daemon, store
from firstboot.gluster.client import GlusterError, parse_status
from tests.netns.looks import gluster, pool, volumes
from tests.netns.namespaces import HERE, SUBNET, Lab, LabError, Node, command, lab

NODES = 3
VOLUME = "data"
BRICK = "/srv/brick"
PAGE = "/run/cut"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LISTEN_S, CUT_S, OVERCOME_S = 30.0, 2.0, 100.0
TROUBLE = (GlusterError, LabError)
"""What it says, and what its command ends with, while it can't answer."""
ASK_AGAIN_S = 4.0
"""How long the founder waits until it does again what is not there."""


@dataclass(frozen=True)
class Stage:
    """One command on the first node; `members` are the pool's after it, `victims` who is cut off in turn."""

    words: tuple[str, ...]
    members: int
    victims: tuple[int, ...]


STAGES = {
    "meet": Stage(("peer", "probe", "node2"), 2, (0, 1)),
    "probe": Stage(("peer", "probe", "node3"), 3, (0, 1, 2)),
    "create": Stage(
        ("volume", "create", VOLUME, "replica", "3", *(f"node{n}:{BRICK}/d" for n in (1, 2, 3)), "force"), 3, (0, 1)
    ),
    "tune": Stage(("volume", "set", VOLUME, "group", "virt"), 3, (0, 1)),
    "start": Stage(("volume", "start", VOLUME), 3, (0, 1)),
}
"""In the order in which each builds on the one before."""


@dataclass
class Daemon:
    """A node's glusterd under cut.c. `since`: what the agent would know of meetings that last."""

    node: Node
    library: Path
    since: daemon.Lasting = field(default_factory=lambda: daemon.Lasting(store.CUT_OFF_S))

    @property
    def inside(self) -> Path:
        return Path(f"/proc/{self.node.pid}/root")

    @property
    def store(self) -> Path:
        return self.inside / str(store.STORE).lstrip("/")

    def start(self) -> None:
        """As the agent does; raises LabError when it does not start."""
        store.mend(self.store)
        if store.lacks_volfiles(self.store):
            self.node.run(*daemon.WRITE_VOLFILES, check=False)
        setting = ("env", f"LD_PRELOAD={self.library}", f"TRIVET_CUT={PAGE}")
        self.node.run("rm", "-f", "/run/glusterd.pid")
        self.node.run(*setting, "sh", "-c", "exec glusterd -p /run/glusterd.pid > /run/start.log 2>&1")
        await_fact(f"glusterd of {self.node.name} answers", self.answers, LISTEN_S)

    def answers(self) -> bool:
        with suppress(*TROUBLE):
            return bool(pool(self.node))
        return False

    def kill(self) -> None:
        """Everything of Gluster on the node, as with its power."""
        words = 'for p in /proc/[0-9]*; do case $(cat $p/comm) in gluster*) kill -9 "${p#/proc/}";; esac; done'
        self.node.run("sh", "-c", f"({words}) 2> /dev/null || true")
        await_fact("it is gone", lambda: not self.runs(), LISTEN_S)

    def runs(self) -> bool:
        return self.node.run("sh", "-c", "kill -0 $(cat /run/glusterd.pid)", check=False).returncode == 0

    def arm(self, at: int) -> None:
        """Cut it off before its change number `at` from now on; 0: never."""
        page = self.inside / PAGE.lstrip("/")
        with page.open("r+b" if page.exists() else "w+b") as file:
            file.write(struct.pack("ii", 0, at).ljust(4096, b"\0"))
        (self.inside / f"{PAGE.lstrip('/')}.log").write_text("")

    def changes(self) -> list[str]:
        return (self.inside / f"{PAGE.lstrip('/')}.log").read_text().splitlines()

    def resume(self, now_s: float) -> None:
        """Start it again when a meeting was cut off on the other side, as `firstboot.gluster.pool` does."""
        names = store.half_met(self.store) if not volumes(self.node) else frozenset()
        if not names:  # else it can't list them
            names = frozenset(peer.names[0] for peer in pool(self.node).peers if peer.is_meeting)
        if self.since.due(names, now_s):
            self.kill()
            self.start()


@dataclass
class Site:
    """The three, and what their stores were like after each stage."""

    daemons: list[Daemon]
    saved: Path

    def save(self, stage: str) -> None:
        for each in self.daemons:
            for name, folder in (("store", each.store), ("brick", each.inside / BRICK.lstrip("/"))):
                command("cp", "-a", folder, self.place(stage, each, name))

    def load(self, stage: str) -> None:
        """Back to the end of a stage, with glusterd running everywhere."""
        for each in self.daemons:
            each.kill()
            for name, folder in (("store", each.store), ("brick", each.inside / BRICK.lstrip("/"))):
                for path in folder.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                command("cp", "-a", f"{self.place(stage, each, name)}/.", folder)
        for each in self.daemons:
            each.arm(0)
            each.start()
        members = STAGES[stage].members if stage in STAGES else 1
        await_fact(f"the pool of {members}", lambda: self.met(members), OVERCOME_S)

    def place(self, stage: str, each: Daemon, name: str) -> Path:
        made = self.saved / stage / each.node.name
        made.mkdir(parents=True, exist_ok=True)
        return made / name

    def met(self, members: int) -> bool:
        seen = [pool(each.node).peers for each in self.daemons[:members]]
        return all(len(peers) == members - 1 and all(peer.is_settled for peer in peers) for peers in seen)

    def reached(self, name: str) -> bool:
        """Whether everybody sees what a stage is for."""
        stage, first = STAGES[name], self.daemons[0].node
        with suppress(*TROUBLE):
            if not self.met(stage.members):
                return False
            seen = [defined(each.node) for each in self.daemons[: stage.members]]
            wanted = {"create": VOLUME, "tune": "remote-dio", "start": "Started"}.get(name, "")
            bricks = len(parse_status(gluster(first, "volume", "status", VOLUME))) if name == "start" else NODES
            return len(set(seen)) == 1 and wanted in seen[0] and bricks == NODES
        return False

    def recover(self, name: str) -> None:
        """What the agents do until the stage is reached; raises LabError when it never is."""
        again_s = time.monotonic() + ASK_AGAIN_S

        def over() -> bool:
            nonlocal again_s
            if self.reached(name):
                return True
            for each in self.daemons:
                with suppress(*TROUBLE):
                    each.resume(time.monotonic())
            if time.monotonic() > again_s:
                self.again(name)
                again_s = time.monotonic() + ASK_AGAIN_S
            return False

        await_fact(f"{name} is overcome", over, OVERCOME_S)

    def again(self, name: str) -> None:
        first = self.daemons[0].node
        with suppress(*TROUBLE):
            if name == "create":
                if volumes(first):
                    return
                for each in self.daemons:  # the agent takes the marks off: firstboot.gluster.marks
                    each.node.run("rm", "-rf", f"{BRICK}/d")
            first.run("timeout", "10", "gluster", "--mode=script", *STAGES[name].words, check=False)


def defined(node: Node) -> str:
    """A node's volumes in words; the order of options, which an import changes, left out."""
    return str([(v.id, v.name, v.status, v.bricks, sorted(v.options.items())) for v in volumes(node)])


def await_fact(what: str, fact: Callable[[], bool], limit_s: float) -> None:
    limit = time.monotonic() + limit_s
    while not fact():
        if time.monotonic() > limit:
            raise LabError(f"never: {what}")
        time.sleep(0.2)


def build(place: Lab, folder: Path) -> Site:
    """Three nodes that know each other's names, with glusterd that never ran in any pool."""
    library = HERE / "__pycache__" / "cut.so"
    library.parent.mkdir(exist_ok=True)
    command("gcc", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", library, HERE / "crash" / "cut.c")
    hosts = "".join(f"{SUBNET}.{n} node{n}\n" for n in range(1, NODES + 1)) + "127.0.0.1 localhost\n"
    daemons = [Daemon(place.add_node(f"machine{n}"), library) for n in range(1, NODES + 1)]
    for each in daemons:
        each.node.write("/etc/hosts", hosts.encode())
        each.node.run("mkdir", "-p", BRICK)
        each.arm(0)
        each.start()
    return Site(daemons, folder)


def cut(site: Site, base: str, name: str, victim: int, at: int, whole: bool) -> str | None:
    """One cut: what was about to change; None when the stage has fewer changes."""
    site.load(base)
    each = site.daemons[victim]
    each.arm(at)
    # Who asks a glusterd whose peer has just died waits for two minutes.
    site.daemons[0].node.run("timeout", "10", "gluster", "--mode=script", *STAGES[name].words, check=False)
    with suppress(LabError):
        await_fact("cut off", lambda: not each.runs(), CUT_S)
    if each.runs():
        return None
    change = UUID.sub("UUID", each.changes()[-1])
    dead = site.daemons if whole else [each]
    for daemon_ in dead:
        daemon_.kill()
        daemon_.arm(0)
    for daemon_ in dead:
        daemon_.start()
    site.recover(name)
    return change


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.netns.crash.cuts", description=__doc__)
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--site", action="store_true")
    parser.add_argument("--every", type=int, default=1, help="of the changes, take each so many-th")
    chosen = parser.parse_args()
    counts: Counter[str] = Counter()
    with lab() as place, tempfile.TemporaryDirectory() as folder:
        site = build(place, Path(folder))
        base = "fresh"
        site.save(base)
        for name, stage in STAGES.items():
            for victim in stage.victims if name in chosen.stages.split(",") else ():
                counts += cut_all(site, base, name, victim, chosen)
            site.load(base)
            gluster(site.daemons[0].node, *stage.words)
            site.recover(name)
            site.save(name)
            base = name
    print(json.dumps({"cuts": counts.total(), **counts}), flush=True)
    return 1 if counts["failed"] or not counts else 0


def cut_all(site: Site, base: str, name: str, victim: int, chosen: argparse.Namespace) -> Counter[str]:
    counts: Counter[str] = Counter()
    for at in range(1, sys.maxsize, chosen.every):
        began, outcome = time.monotonic(), "overcome"
        try:
            change = cut(site, base, name, victim, at, chosen.site)
        except LabError as error:
            outcome, change = "failed", f"{at}: {error}"
        if change is None:
            break
        counts[outcome] += 1
        print(f"{outcome} {time.monotonic() - began:5.1f} s  {name}, node{victim + 1} before {change}", flush=True)
    return counts


if __name__ == "__main__":
    sys.exit(main())
