"""What forming a large site costs in visits: a mutual-TLS handshake each, by the core itself on a perfect network.

`--sizes 3,60,300`. Every node starts within half a minute, the last one `--late` seconds after the others; who is
announced is known to all. The peer is the same core that visits every member in every round. Simulated time, no I/O:
the numbers are the same on every machine. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from firstboot.cluster import attempts  # noqa: E402
from firstboot.cluster.core import Core  # noqa: E402
from firstboot.cluster.events import (  # noqa: E402
    Action,
    ClaimArrived,
    Endpoint,
    Event,
    Identity,
    Persist,
    Persisted,
    RoundBegan,
    Started,
    Target,
    Visit,
    Visited,
)
from firstboot.cluster.exchange import FORMING_S, HURRIED_S, MIN_PAUSE_S  # noqa: E402
from firstboot.cluster.itinerary import Pace  # noqa: E402
from firstboot.cluster.presence import Patience  # noqa: E402
from firstboot.cluster.views import View  # noqa: E402
from firstboot.cluster.votes import lacks_claim  # noqa: E402

PORT = 7463
BOOT_S, SETTLED_S, HEARD_S = 30.0, 60.0, 0.1
VISIT_S = 0.01
"""What a visit takes of a round."""
EVERYBODY = Pace(usual=10**6, least=10**6, urgent=10**6, searched=10**6, rest_s=0.0, lead_rest_s=0.0)


@dataclass
class Node:
    """A member: its core, who visited it, and what it did."""

    slot: int
    core: Core
    starts_s: float
    callers: dict[int, Endpoint] = field(default_factory=dict)
    visits: int = 0
    served: int = 0
    due_s: float = 0.0
    rested_s: float = 0.0

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"10.0.{self.slot // 250}.{self.slot % 250 + 1}", PORT)

    def view(self) -> View:
        votes, me = self.core.votes, self.core.identity
        return View.model_construct(
            node_id=me.node_id,
            slot=me.slot,
            seed_id=me.seed_id,
            phase="admit",
            claims=votes.claims,
            releases=votes.releases,
            attempt=votes.attempt,
            ready=votes.ready,
            founder=votes.founder,
            run=me.run,
            address=self.endpoint.address,
            storage_address=None,
        )


class Site:
    """So many nodes on a perfect network, in simulated time."""

    def __init__(self, size: int, late_s: float, pace: Pace) -> None:
        self.chance = random.Random(size)
        names = {slot: f"node{slot}" for slot in range(1, size + 1)}
        self.nodes = {slot: self._node(slot, names, pace) for slot in names}
        last = self.nodes[size]
        last.starts_s = BOOT_S + late_s
        self.last_start_s = max(node.starts_s for node in self.nodes.values())
        self.where = {node.endpoint: node for node in self.nodes.values()}
        self.now_s = 0.0
        self.waiting_visits = 0
        self.queue: list[tuple[float, int]] = []

    def _node(self, slot: int, names: dict[int, str], pace: Pace) -> Node:
        core = Core(Identity(slot, f"{slot:032x}", f"{slot:032x}", names, f"{slot:032x}"), Patience(), pace)
        return Node(slot, core, self.chance.uniform(0.0, BOOT_S))

    def run(self) -> float:
        """To the end; how many seconds after the last start that was."""
        for node in self.nodes.values():
            self._due(node, node.starts_s)
        begun: set[int] = set()
        undecided = set(self.nodes)
        while undecided:
            self.now_s, slot = heapq.heappop(self.queue)
            node = self.nodes[slot]
            if self.now_s != node.due_s:
                continue  # it was woken before that
            if slot not in begun:
                self._step(node, Started(node.core.votes, self.now_s))
                for other in begun:  # they hear it announced
                    self._wake(self.nodes[other])
                begun.add(slot)
            before = node.visits
            self._round(node, begun)
            took_s = VISIT_S * (node.visits - before)
            hurried = node.core.hurried
            node.rested_s = self.now_s + took_s + (max(HURRIED_S, took_s) if hurried else MIN_PAUSE_S)
            self._due(node, node.rested_s + (0.0 if hurried else FORMING_S))
            if node.core.votes.founder is not None:
                undecided.discard(slot)
            if self.now_s > self.last_start_s + 3600:
                raise SystemExit(f"not formed: {node.core.standing()}")
        return self.now_s - self.last_start_s

    def _wake(self, node: Node) -> None:
        self._due(node, max(self.now_s + HEARD_S, node.rested_s))

    def _due(self, node: Node, at_s: float) -> None:
        node.due_s = at_s
        heapq.heappush(self.queue, (at_s, node.slot))

    def _round(self, node: Node, begun: set[int]) -> None:
        offers = {slot: [self.nodes[slot].endpoint] for slot in begun if slot != node.slot}
        for action in self._step(node, RoundBegan(offers, (), PORT, self.chance, self.now_s)):
            if not isinstance(action, Target):
                continue
            contact = node.core.roster.contacts.get(action.slot or 0)
            if action.spare and contact is not None and contact.reachable:
                continue
            self._visit(node, self.where[action.endpoint], action)

    def _visit(self, node: Node, other: Node, target: Target) -> None:
        node.visits += 1
        other.served += 1
        if BOOT_S + SETTLED_S <= self.now_s < self.last_start_s:
            self.waiting_visits += 1
        view = other.view()
        if lacks_claim(view, other.slot, node.slot, node.core.identity.node_id):
            self._step(other, ClaimArrived(0, node.slot, node.slot, node.core.identity.node_id, self.now_s))
            if attempts.claimed(other.core.identity.names, other.core.votes):
                self._wake(other)
            view = other.view()
        self._step(node, Visited(Visit(other.endpoint, other.slot, view), target.slot, self.now_s))

    def _step(self, node: Node, event: Event) -> list[Action]:
        left: list[Action] = []
        actions = node.core.step(event)
        while actions:
            action = actions.pop(0)
            if isinstance(action, Persist):
                actions += node.core.step(Persisted(action.serial, self.now_s))
            else:
                left.append(action)
        return left


def measure(size: int, late_s: float, pace: Pace) -> dict[str, object]:
    """Visits until all decided: in all, by the busiest node, to the busiest; and by each while one is missing."""
    site = Site(size, late_s, pace)
    took_s = site.run()
    nodes = site.nodes.values()
    waited_s = site.last_start_s - BOOT_S - SETTLED_S
    return {
        "visits": sum(node.visits for node in nodes),
        "of_a_node": max(node.visits for node in nodes),
        "to_a_node": max(node.served for node in nodes),
        "to_the_lowest_slot": site.nodes[1].served,
        "waiting_per_node_s": round(site.waiting_visits / waited_s / size, 2) if waited_s > 0 else None,
        "decided_after_s": round(took_s, 1),
        "founders": len({node.core.votes.founder for node in nodes}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="3,12,24,60", help="300 takes two minutes of CPU")
    parser.add_argument("--late", type=float, default=0.0, help="seconds for which the last node is missing")
    parser.add_argument("--peer", type=int, default=60, help="the largest size at which everybody visits everybody")
    options = parser.parse_args()
    rows = {}
    for size in map(int, options.sizes.split(",")):
        rows[size] = {"ours": measure(size, options.late, Pace())}
        if size <= options.peer:
            rows[size]["everybody"] = measure(size, options.late, EVERYBODY)
        print(size, json.dumps(rows[size]), flush=True)
    print(json.dumps({"bench": "visits", "late_s": options.late, "sizes": rows}))


if __name__ == "__main__":
    main()
