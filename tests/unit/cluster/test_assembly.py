"""The register between nodes over real mutual TLS on loopback: who may ask, who learns, who is admitted."""

from __future__ import annotations

import pytest

from firstboot.cluster import authority as authorities
from firstboot.cluster.bids import Accept, Bid, Consent, Prepare
from firstboot.cluster.changes import ClaimSlot, ReleaseSlot, RemoveNode, RotateAuthority
from firstboot.cluster.council import NotMadeError
from firstboot.cluster.events import Endpoint, Follow, Found, Outside
from firstboot.cluster.members import Members
from firstboot.cluster.questions import question_document
from firstboot.cluster.session import UnreachableError, open_session
from firstboot.cluster.tls import client_context
from firstboot.seed import Seed
from tests.unit.cluster.yard import A, B, Node, Yard
from tests.unit.firstboot.sites import credentials, issue, site


def founded(yard: Yard) -> tuple[Node, Node, Node]:
    nodes = tuple(yard.start(seed) for seed in site()[1])
    yard.rounds(4)
    assert [node.ballot.standing() for node in nodes] == [Found(1), Follow(1), Follow(1)]
    first, second, third = nodes
    return first, second, third


def test_the_first_epoch_is_the_same_on_all(yard: Yard) -> None:
    first, second, third = founded(yard)
    assert first.members == second.members == third.members
    assert first.members.nodes == {node.key.node_id: node.seed.slot.number for node in (first, second, third)}
    assert first.members.slots[3].seed_id == third.seed.slot.seed_id


def test_a_change_on_any_member_and_who_was_off_learns(yard: Yard) -> None:
    first, second, third = founded(yard)
    first.server.close()
    made = second.assembly.council.make(RotateAuthority(A, ""))
    assert made.authorities == (A,)
    assert third.assembly.council.make(None) == third.members == made
    assert first.members.epoch == 1
    yard.nodes.remove(first)
    first.round()
    assert first.members == made
    first.assembly.close()


def test_alone_nothing_is_changed(yard: Yard) -> None:
    first, second, third = founded(yard)
    for gone in (second, third):
        yard.power_off(gone)

    def pass_time(_: str) -> None:
        yard.now_s += 100

    with pytest.raises(NotMadeError, match=r"1 of 3 members answered, more than half are needed"):
        first.assembly.council.make(RotateAuthority(A, ""), pass_time)


def without_third(yard: Yard) -> tuple[list[Seed], Node, Node]:
    _, seeds = site()
    first, second = yard.start(seeds[0]), yard.start(seeds[1])
    yard.rounds(2)
    yard.now_s += 1
    second.ballot.leave_out([3])
    yard.rounds(4)
    assert [node.ballot.standing() for node in (first, second)] == [Found(1), Follow(1)]
    return seeds, first, second


def test_a_machine_that_comes_later_is_admitted(yard: Yard) -> None:
    seeds, first, second = without_third(yard)
    assert first.members.slots[3].open
    third = yard.start(seeds[2])
    third.round()
    standing = third.ballot.standing()
    assert isinstance(standing, Outside)
    assert "the cluster was founded without slot 3 (node3)" in standing.reason
    yard.admit(third, through=first)
    assert third.members.nodes[third.key.node_id] == 3
    yard.rounds(1)
    assert first.members == second.members == third.members


@pytest.mark.parametrize("agreed", [True, False])
def test_who_is_left_learns_from_the_newcomer_only_what_it_agreed_to(yard: Yard, agreed: bool) -> None:
    """It gave its consent, and the one that took it there is lost before it could tell that it is settled."""
    seeds, first, second = without_third(yard)
    third = yard.start(seeds[2])
    third.round()
    base, claim = first.members, ClaimSlot(3, third.seed.slot.seed_id, third.key.node_id)
    document, bid = claim.apply(base), Bid(9, first.key.node_id)
    assert isinstance(document, Members)
    if agreed:
        assert second.assembly.council.answer(bid.by, Accept(base, bid, document)) == Consent(bid)
    third.assembly.council.learn(document)
    yard.power_off(first)
    second.round()
    assert second.members == (document if agreed else base)


def test_a_second_machine_with_a_members_seed_is_told_why_not(yard: Yard) -> None:
    first, _, third = founded(yard)
    yard.power_off(third)
    thief = yard.start(third.seed)
    thief.round()
    thief.round()
    assert thief.assembly.refusal.startswith(f"slot 3 is held by node {third.key.node_id[:12]}")
    code, said = thief.post(first, "/v1/admit", {})
    assert (code, said["why"]) == (409, "slot-held")


def test_a_released_slot_takes_a_new_seed_alone(yard: Yard) -> None:
    root, seeds = site()
    first, second, third = (yard.start(seed) for seed in seeds)
    yard.rounds(4)
    yard.power_off(third)
    fresh = issue(root, 3)
    first.assembly.council.make(ReleaseSlot(3, third.key.node_id, fresh.slot.seed_id))
    old = yard.start(seeds[2])
    assert old.post(first, "/v1/admit", {})[1]["why"] == "seed-used"
    yard.power_off(old)
    new = yard.start(fresh)
    new.round()
    yard.admit(new, through=first)
    assert second.members.removed[third.key.node_id].slot == 3


def test_only_members_ask_a_member(yard: Yard) -> None:
    first, second, third = founded(yard)
    stranger = yard.start(third.seed)
    forged = Prepare(first.members, Bid(99, stranger.key.node_id))
    body = question_document(forged).model_dump(mode="json", exclude_none=True)
    assert stranger.post(first, "/v1/register", body)[0] == 403
    first.assembly.council.make(RemoveNode(third.key.node_id))
    later = Prepare(first.members, Bid(99, third.key.node_id))
    body = question_document(later).model_dump(mode="json", exclude_none=True)
    assert third.post(first, "/v1/register", body)[0] == 403
    assert second.post(first, "/v1/register", {"format": "trivet-question"})[0] == 400


def test_members_ask_each_other_with_their_own_certificates(yard: Yard) -> None:
    first, second, third = founded(yard)
    authority = authorities.create("demo")
    for node in (first, second, third):
        node.enrol(authority)
    yard.rounds(1)
    for node in (first, second, third):
        node.claim = credentials(site()[1][0])  # of another site: nothing of the site's is of use from here
    assert second.assembly.council.make(RotateAuthority(B, "")).epoch == 2
    assert third.assembly.council.make(None).epoch == 2
    with pytest.raises(UnreachableError, match="no certificate of this site|TLS failed"):
        second.post(first, "/v1/register", {})


def test_a_slot_is_given_to_nobody_while_its_former_node_is_in_the_pool(yard: Yard) -> None:
    root, seeds = site()
    first, _, third = (yard.start(seed) for seed in seeds)
    yard.rounds(4)
    yard.power_off(third)
    first.assembly.council.make(ReleaseSlot(3, third.key.node_id))
    first.occupied = "the node that held slot 3 is still in the pool"
    new = yard.start(issue(root, 3))
    assert new.post(first, "/v1/admit", {}) == (202, {"why": first.occupied})
    first.occupied = ""
    assert new.post(first, "/v1/admit", {})[1]["why"] != first.occupied


def test_while_the_authority_is_replaced_only_the_document_vouches(yard: Yard) -> None:
    first, second, third = founded(yard)
    authority = authorities.create("demo")
    for node in (first, second):
        node.enrol(authority)
    forged = yard.start(third.seed)
    forged.enrol(authority)
    question = question_document(Prepare(first.members, Bid(99, forged.key.node_id)))
    body = question.model_dump(mode="json", exclude_none=True)
    assert forged.post(first, "/v1/register", body, as_member=True)[0] == 200, "it may be a member by now"
    first.assembly.council.make(RemoveNode(third.key.node_id))
    assert forged.post(first, "/v1/register", body, as_member=True)[0] == 403, "who was removed may have made it one"
    assert second.assembly.council.make(None).in_transition


def test_who_was_removed_learns_it(yard: Yard) -> None:
    first, _, third = founded(yard)
    first.assembly.council.make(RemoveNode(third.key.node_id))
    assert third.assembly.removal == ""
    yard.rounds(2)
    assert third.assembly.removal == "this node was removed from the cluster in epoch 2: turn it off"
    assert third.key.node_id not in {view.node_id for view in first.assembly.answering().values()}
    endpoint, shown = Endpoint(first.address, yard.port), client_context(third.claim)
    with open_session(endpoint, shown, site_id=third.seed.site.id) as session:
        asked = [f"/v1/{what}" for what in ("view", "members", "status", "ssh-host-keys")]
        assert [session.ask("GET", path).code for path in asked] == [200, 200, 403, 403]
