"""The other members: does each answer over mutual TLS, as whom, with which clock, and do whole packets reach it?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from firstboot import paths
from firstboot.cluster import likeness
from firstboot.cluster.client import Look, look
from firstboot.cluster.clocks import Reading
from firstboot.cluster.events import Endpoint
from firstboot.cluster.fallbacks import endpoint
from firstboot.cluster.likeness import Facts
from firstboot.cluster.skew import MAX_SKEW_S
from firstboot.cluster.tls import client_context
from firstboot.context import Member
from firstboot.doctor.bounded import Result, Value, gather
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned
from firstboot.errors import TrivetError
from firstboot.plan import SlotPlan

WORKERS = 32
LIMIT_S = 45.0
"""For all members together; one visit takes 35 s at most (client.CONNECT_S and twice ANSWER_S)."""


@dataclass(frozen=True)
class Seen:
    """A look at a member: its clock minus ours, and how wrong that may be; none where it did not say."""

    look: Look
    skew_s: float | None
    error_s: float


def check(node: Node) -> Iterator[Judgement]:
    """Look at every other slot; nothing is claimed."""
    seed, members = node.claimed_seed, node.members
    if not node.others:
        yield skipped("this site has one node")
    known = [slot for slot in node.others if slot.number in members]
    context = client_context(node.credentials)

    def visit(where: Endpoint) -> Seen:
        found = look(where, context, site_id=seed.site.id)
        return Seen(found, *skew(found.clock, time.time(), time.monotonic()))

    named = [endpoint(peer, paths.ADMISSION_PORT) for peer in seed.overrides.peers]
    goals = [Endpoint(members[slot.number].address, paths.ADMISSION_PORT) for slot in known] + named
    results = gather([partial(visit, goal) for goal in goals], limit_s=LIMIT_S, workers=WORKERS)
    for slot, result in zip(known, results, strict=False):
        yield judge_member(slot, members[slot.number], result)
    met = {result.value.look.slot for result in results if isinstance(result, Value)}
    for where, result in zip(named, results[len(known) :], strict=True):
        yield judge_named_peer(where, result)
    for slot in node.others:
        if slot.number not in members and slot.number not in met:
            yield judge_unknown(slot, admitted="admit" in node.journal.phases)
    views = [result.value.look.view for result in results if isinstance(result, Value)]
    facts = {view.slot: view.facts for view in views if view.facts is not None}
    own = likeness.read_facts(seed.site.id, (), pooled=node.ever_finished("pool"))
    yield from judge_marks(facts | {node.slot.number: own}, {slot.number: slot.name for slot in seed.plan.slots})


def skew(clock: Reading | None, here_s: float, now_s: float) -> tuple[float | None, float]:
    """The other clock minus ours, in seconds, and the most that this may be wrong. Pure.

    `here_s` is what our clock shows at this moment `now_s` of the monotonic one.
    """
    return (None, 0.0) if clock is None else (clock.shown_s + now_s - clock.at_s - here_s, clock.error_s)


def judge_member(slot: SlotPlan, member: Member, result: Result[Seen]) -> Judgement:
    """A member at the address where it answered last."""
    about = f"{slot.name} ({member.address})"
    if not isinstance(result, Value):
        return failed(
            _cause(result),
            f"is it on, and on this network? trivet-node status there; TCP port {paths.ADMISSION_PORT} must pass",
            about=about,
        )
    seen = result.value
    if seen.look.slot != slot.number:
        return failed(
            f"slot {seen.look.slot} answers there", "addresses were swapped: the agent finds it anew", about=about
        )
    if member.node_id and seen.look.view.node_id != member.node_id:
        return failed(
            f"another machine answers there: node {seen.look.view.node_id[:12]}, not {member.node_id[:12]}",
            "two machines have this slot's seed, or that one was wiped: turn one off",
            about=about,
        )
    return _judge_clock(seen, about)


def judge_named_peer(where: Endpoint, result: Result[Seen]) -> Judgement:
    """An address that the seed names."""
    about = f"seed's peer {where.address}"
    if isinstance(result, Value):
        return _judge_clock(result.value, about)
    return warned(_cause(result), "correct the seed's peers if that machine has another address now", about=about)


def judge_unknown(slot: SlotPlan, *, admitted: bool) -> Judgement:
    """A slot whose node has no known address."""
    if not admitted:
        return skipped("has not answered over mutual TLS yet; see multicast", about=slot.name)
    return warned("its address is not known", "start it with its seed, on this network", about=slot.name)


def judge_marks(facts: Mapping[int, Facts], names: Mapping[int, str]) -> Iterator[Judgement]:
    """Whether anything that must be different on every machine is the same on two of them."""
    found = likeness.duplicates(facts)
    for duplicate in found:
        verdict = failed if duplicate.mark == likeness.GLUSTERD else warned
        yield verdict(likeness.sentence(duplicate, names), likeness.HINTS[duplicate.mark], about="duplicates")
    if not found and len(facts) > 1:
        listed = ", ".join(names[slot] for slot in sorted(facts))
        yield passed(f"{', '.join(likeness.MARKS)} of {listed} are all different", about="duplicates")


def _judge_clock(seen: Seen, about: str) -> Judgement:
    evidence = f"answers as slot {seen.look.slot}, phase {seen.look.view.phase}"
    if seen.skew_s is None:
        return passed(evidence, about=about)
    evidence += f"; its clock is {seen.skew_s:+.1f} s from ours (to {seen.error_s:.1f} s)"
    if abs(seen.skew_s) - seen.error_s > MAX_SKEW_S:
        return warned(
            evidence, "give both the same time server (network.ntp); trivet-node doctor there too", about=about
        )
    return passed(evidence, about=about)


def _cause(result: Result[Seen]) -> str:
    if isinstance(result, Value):
        return ""
    error = getattr(result, "error", None)
    if error is None:
        return f"no answer within {LIMIT_S:g} s"
    return error.message if isinstance(error, TrivetError) else f"unexpected {type(error).__name__}: {error}"
