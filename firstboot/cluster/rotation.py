"""How the members come from one cluster authority to the next after a removal: what this node does now; pure.

Everybody holds the authority's key, so who is removed could make itself a certificate: only another authority ends
that. First all that answer hold the new one and trust both, then each gets a certificate of it, then the old one is
trusted no more. Every step follows from the members' document and the views: whoever dies, another member goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firstboot.cluster.changes import RetireAuthority, RotateAuthority
from firstboot.cluster.members import MAX_AUTHORITIES, Members


@dataclass(frozen=True, slots=True)
class Held:
    """What a member has, as fingerprints of authorities: that which it would issue by, and its certificate's."""

    authority: str
    certified: str | None


@dataclass(frozen=True, slots=True)
class Own:
    """The same of this node; `trusted` by it, and the `candidate` that it made to be the next one."""

    held: Held
    trusted: frozenset[str]
    candidate: str | None = None


@dataclass(frozen=True, slots=True)
class Propose:
    """Want this change of the document."""

    change: RotateAuthority | RetireAuthority


@dataclass(frozen=True, slots=True)
class Make:
    """Make the next authority, and keep it until the document has it."""


@dataclass(frozen=True, slots=True)
class Activate:
    """The candidate is the newest authority: hold it."""


@dataclass(frozen=True, slots=True)
class Discard:
    """The candidate came to nothing, or is in use already: what is left of it is not to be used again."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get the newest authority from the member of one of these slots."""

    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Certify:
    """Get a certificate of the newest authority: all that answer trust it."""


@dataclass(frozen=True, slots=True)
class Trim:
    """Trust only those that the document has."""


Step = Propose | Make | Activate | Discard | Fetch | Certify | Trim


def step(members: Members, own_id: str, own: Own, others: Mapping[int, Held]) -> Step | None:
    """What this node does next; None when nothing is left or the others come first.

    `others`: the other members that answer, by slot, and hold an authority. Who does not answer now gets the newest
    one when it comes back: its site still vouches for it.
    """
    newest = members.authorities[0] if members.authorities else own.held.authority
    if own.candidate == own.held.authority:
        return Discard()  # before anything else: later on nothing would tell that it was in use
    if own.held.authority != newest:
        if own.candidate == newest:
            return Activate()
        holders = tuple(slot for slot, held in sorted(others.items()) if held.authority == newest)
        if holders:
            return Fetch(holders)
    if own.candidate in members.authorities:
        return Discard()
    is_first = members.nodes[own_id] == members.first_of(own_id, others)
    if members.needs_rotation:
        return _replace(members, own, others) if is_first else None
    if own.held.authority != newest:
        return None
    if own.candidate is not None:
        return Discard()
    return _move_over(members, own, newest, others, is_first=is_first)


def _replace(members: Members, own: Own, others: Mapping[int, Held]) -> Step:
    if not members.authorities:
        return Propose(RotateAuthority(own.held.authority, ""))
    if len(members.authorities) == MAX_AUTHORITIES:
        return Propose(RetireAuthority(_least_shown(members, own, others)))
    if own.candidate is None:
        return Make()
    return Propose(RotateAuthority(own.candidate, members.authorities[0]))


def _least_shown(members: Members, own: Own, others: Mapping[int, Held]) -> str:
    """The oldest authority that nobody who answers shows a certificate of, or the fewest."""
    shown = [held.certified for held in (own.held, *others.values())]
    return min(reversed(members.authorities[1:]), key=shown.count)


def _move_over(members: Members, own: Own, newest: str, others: Mapping[int, Held], *, is_first: bool) -> Step | None:
    if own.held.certified != newest:
        return Certify() if all(held.authority == newest for held in others.values()) else None
    if len(members.authorities) > 1 and is_first and all(held.certified == newest for held in others.values()):
        return Propose(RetireAuthority(members.authorities[-1]))
    if members.authorities and own.trusted - set(members.authorities):
        return Trim()
    return None


def progress(members: Members, names: Mapping[int, str], silent: tuple[int, ...], trouble: str = "") -> str:
    """In words, what is under way; empty when nothing is. `trouble` is why this node's part of it is not done."""
    if not members.needs_rotation and len(members.authorities) < 2:
        return ""
    left = ", ".join(names[slot] for slot in silent)
    told = "the cluster authority is being replaced after a removal" + (f"; not reached: {left}" if left else "")
    return f"{told}; {trouble}" if trouble else told
