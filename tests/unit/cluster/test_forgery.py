"""What who is no member, or is one no more, says of the members is not believed: over real mutual TLS."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

from firstboot.cluster.acceptor import NO_CLUSTER
from firstboot.cluster.bids import Learn, Rejected
from firstboot.cluster.changes import ReleaseSlot, RemoveNode
from firstboot.cluster.council import Council
from firstboot.cluster.events import Follow, Found
from firstboot.cluster.members import Members, SlotRecord
from firstboot.cluster.questions import question_document
from tests.unit.cluster.yard import A, B, Yard
from tests.unit.firstboot.sites import issue, site


def learn(members: Members) -> dict[str, object]:
    return question_document(Learn(members)).model_dump(mode="json", exclude_none=True)


def test_a_removed_node_does_not_come_back_through_a_machine_that_joins(yard: Yard) -> None:
    root, seeds = site()
    first, second, third = (yard.start(seed) for seed in seeds)
    yard.rounds(4)
    fresh = issue(root, 3)
    first.assembly.council.make(ReleaseSlot(3, third.key.node_id, fresh.slot.seed_id))
    yard.rounds(1)
    yard.nodes.remove(third)  # it is on, but does only what follows
    real = first.members
    back = replace(real.slots[3], node_id=third.key.node_id, seed_id=third.seed.slot.seed_id)
    forged = replace(real, epoch=10**6, slots={**real.slots, 3: back}, removed={})
    new = yard.start(fresh)
    assert third.post(new, "/v1/register", learn(forged))[1]["rejected"] == {"reason": NO_CLUSTER}
    new.round()
    assert new.members.epoch < forged.epoch, "two show what is true"
    assert third.post(new, "/v1/register", learn(forged))[0] == 403
    for victim in (first, second):
        assert third.post(victim, "/v1/register", learn(forged))[0] == 403
        victim.assembly.council.learn(forged)
        assert third.key.node_id in victim.members.removed, "a removed node is never forgotten"
    third.assembly.close()
    third.server.close()


def test_the_holder_of_a_used_seed_does_not_stop_a_site_that_forms(yard: Yard) -> None:
    _, seeds = site()
    first, second = (yard.start(seed) for seed in seeds[:2])
    yard.rounds(2)
    thief = yard.start(seeds[0])
    yard.nodes.remove(thief)
    slots = {
        1: SlotRecord("node1", thief.key.node_id, "d" * 32),
        2: SlotRecord("node2", second.key.node_id, second.seed.slot.seed_id),
        3: SlotRecord("node3", open=True),
    }
    said = thief.post(second, "/v1/register", learn(Members("e" * 32, 5, slots)))[1]
    assert said["rejected"] == {"reason": NO_CLUSTER}
    third = yard.start(seeds[2])
    yard.rounds(4)
    assert [node.ballot.standing() for node in (first, second, third)] == [Found(1), Follow(1), Follow(1)]
    thief.close()


def test_a_machine_that_joins_asks_on_after_a_refusal_and_leaves_removed_nodes_out(yard: Yard) -> None:
    root, seeds = site()
    first, second, third = (yard.start(seed) for seed in seeds)
    yard.rounds(4)
    yard.power_off(third)
    fresh = issue(root, 3)
    second.assembly.council.make(ReleaseSlot(3, third.key.node_id, fresh.slot.seed_id))
    second.assembly.council.make(RemoveNode(first.key.node_id))
    yard.rounds(2)
    assert first.assembly.removal
    new = yard.start(fresh)  # node 1, which was removed, is on, shows the same epoch and has the lower slot
    yard.admit(new, through=second)


def test_changes_are_told_in_their_order(tmp_path: Path) -> None:
    """Two threads learn two epochs; the first one is slow to tell."""
    told: list[int] = []
    began, go_on = threading.Event(), threading.Event()

    def changed(members: Members) -> None:
        if members.epoch == 1:
            began.set()
            assert go_on.wait(30)
        told.append(members.epoch)

    council = Council(
        tmp_path / "register.json", A, site_id=B, clock=lambda: 0.0, call=lambda *_: Rejected("off"), changed=changed
    )
    first_epoch = Members("e" * 32, 1, {1: SlotRecord("node1", A, B)})
    slow = threading.Thread(target=council.learn, args=(first_epoch,))
    slow.start()
    assert began.wait(30)
    quick = threading.Thread(target=council.learn, args=(replace(first_epoch, epoch=2),))
    quick.start()
    while council.members is None or council.members.epoch < 2:
        time.sleep(0.01)
    go_on.set()
    slow.join()
    quick.join()
    council.close()
    assert told == [1, 2]
