"""Attempts: going on without a slot whose machine does not come, and what a later attempt keeps of earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from firstboot.cluster.ballots import Attempt, Proposal, Ready, Votes


def rest(names: Mapping[int, str], attempt: Attempt) -> Mapping[int, str]:
    """The slots that the attempt asks, with their names."""
    if not attempt.without:
        return names
    return {slot: name for slot, name in names.items() if slot not in attempt.without}


def claimed(slots: Iterable[int], votes: Votes) -> bool:
    """Whether every slot that the attempt asks has its claim here."""
    return all(slot in votes.claims or slot in votes.attempt.without for slot in slots)


def following(latest: Attempt, without: Iterable[int], by: str) -> Attempt:
    """The attempt after the latest one that is known."""
    return Attempt(latest.number + 1, tuple(sorted(set(without))), by)


def bar(names: Mapping[int, str], own_slot: int, attempt: Attempt, presence: Callable[[int], str]) -> str:
    """Why a node does not take part in an attempt; empty when it does.

    `presence` says why a slot's machine can't be taken for absent, empty when it can.
    """
    stray = [slot for slot in attempt.without if slot not in names]
    if stray:
        return f"the site has no slot {stray[0]}"
    if own_slot in attempt.without:
        return f"slot {own_slot} ({names[own_slot]}) is this machine's own"
    left = len(names) - len(attempt.without)
    if 2 * left <= len(names):
        return f"{left} of {len(names)} slots are not more than half: the others could go on without them as well"
    return next((why for slot in attempt.without if (why := presence(slot))), "")


def join(votes: Votes, attempt: Attempt) -> Votes:
    """The votes with that attempt; a slot that is left out changes hands no more."""
    left_out = attempt.without
    releases = {slot: node for slot, node in votes.releases.items() if slot not in left_out}
    return replace(votes, attempt=attempt, releases=releases)


def frozen(attempt: Attempt, shown: Iterable[Ready | None]) -> bool:
    """Whether anybody gave consent in that attempt or a later one."""
    return any(ready is not None and ready.attempt >= attempt for ready in shown)


def latest(reports: Iterable[Ready | None]) -> list[Proposal]:
    """What a later attempt has to propose again: the proposal of the latest consent among these.

    Empty when nobody gave any: any proposal is safe then. More than one: two machines proposed as one node.
    """
    given = [ready for ready in reports if ready is not None]
    if not given:
        return []
    last = max(ready.attempt for ready in given)
    found: list[Proposal] = []
    for ready in given:
        if ready.attempt == last and ready.proposal not in found:
            found.append(ready.proposal)
    return found
