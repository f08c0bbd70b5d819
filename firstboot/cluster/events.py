"""What formation is told and what it asks for: the typed events and actions of the core."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firstboot.cluster.ballots import Attempt, Shown, Votes


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is. `run` is random, made anew at each start: two live ones of one node are copies of a disk."""

    slot: int
    node_id: str
    seed_id: str
    names: Mapping[int, str]
    run: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a member may be; `address` is numeric, IPv6 link-local with its %scope."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """An address to visit; `slot` is the one expected there, none where only an address is known.

    A `spare` one is for the case that the slot's holder does not answer at the others in this round.
    """

    slot: int | None
    endpoint: Endpoint
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """A completed visit. `slot` is what the visited one's certificate proved.

    `incumbent` is the node that it voted for in our place, if it did, and `refusal` why that stays.
    """

    endpoint: Endpoint
    slot: int
    view: Shown
    incumbent: str | None = None
    refusal: str = ""


# Events. `now_s` is any clock of this machine; only its progress counts.


@dataclass(frozen=True, slots=True)
class Started:
    """The agent started, with what the disk has."""

    votes: Votes
    now_s: float


@dataclass(frozen=True, slots=True)
class ClaimArrived:
    """A proved node `node_id` claims `slot`; `sender_slot` is what its certificate is for."""

    request: int
    sender_slot: int
    slot: int
    node_id: str
    now_s: float


@dataclass(frozen=True, slots=True)
class RoundBegan:
    """Time to go round: where hints say that slots may be, and addresses that are known without a slot."""

    offers: Mapping[int, Sequence[Endpoint]]
    peers: Sequence[Endpoint]
    port: int
    chance: random.Random
    now_s: float


@dataclass(frozen=True, slots=True)
class Visited:
    """A visit succeeded; `expected` is the slot that was looked for there."""

    visit: Visit
    expected: int | None
    now_s: float


@dataclass(frozen=True, slots=True)
class VisitFailed:
    """A visit to where `slot` was expected failed."""

    slot: int
    cause: str
    address: str
    now_s: float


@dataclass(frozen=True, slots=True)
class Persisted:
    """The votes of that Persist are on disk, fsynced."""

    serial: int
    now_s: float


@dataclass(frozen=True, slots=True)
class PersistFailed:
    """They are not, and will not be."""

    serial: int
    now_s: float


@dataclass(frozen=True, slots=True)
class LeaveOut:
    """An operator of this node wants to go on without the machines of these slots."""

    request: int
    slots: tuple[int, ...]
    now_s: float


@dataclass(frozen=True, slots=True)
class MembersKnown:
    """An epoch of the cluster's document: the names of all its slots, and the member of each that has one."""

    names: Mapping[int, str]
    holders: Mapping[int, str]
    now_s: float


@dataclass(frozen=True, slots=True)
class ClusterExists:
    """This site has a cluster already: none is founded any more, and no slot released, whatever the votes say.

    Its pool was seen, or this machine's seed was made for it.
    """

    now_s: float


@dataclass(frozen=True, slots=True)
class TimePassed:
    """How does it stand? Answered by WaitFor, Found or Follow."""

    now_s: float


Event = (
    Started
    | ClaimArrived
    | RoundBegan
    | Visited
    | VisitFailed
    | Persisted
    | PersistFailed
    | LeaveOut
    | MembersKnown
    | ClusterExists
    | TimePassed
)


# Verdicts on a claim.


@dataclass(frozen=True, slots=True)
class Granted:
    """The claimant has this node's vote; `changed` when it is new."""

    claims: Mapping[int, str]
    changed: bool


@dataclass(frozen=True, slots=True)
class Held:
    """The slot is another node's; `why` that stays so. `incumbent` is empty when it is nobody's, but closed."""

    incumbent: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class NoSlot:
    """The site has no such slot."""


@dataclass(frozen=True, slots=True)
class NotYours:
    """The sender's certificate is for another slot."""


@dataclass(frozen=True, slots=True)
class Unsaved:
    """The vote could not be written, so it was not given."""


Verdict = Granted | Held | NoSlot | NotYours | Unsaved


# Verdicts on an operator's wish.


@dataclass(frozen=True, slots=True)
class LeftOut:
    """This node takes part in an attempt without those slots; the others still have to."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Declined:
    """Nothing was changed: why, and what to do instead."""

    reason: str
    hint: str = ""


# Actions.


@dataclass(frozen=True, slots=True)
class Persist:
    """Write these votes and fsync, then tell Persisted or PersistFailed. One at a time."""

    serial: int
    votes: Votes


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the claim of that number."""

    request: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the operator's wish of that number."""

    request: int
    verdict: LeftOut | Declined | Unsaved


@dataclass(frozen=True, slots=True)
class Refuse:
    """This disk is not this node's: go no further."""

    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Not yet: what is missing, in words with slot names, and what would end the wait."""

    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Outside(WaitFor):
    """The cluster was founded, or is about to be, and this machine is no member of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """This node founds."""

    slot: int


@dataclass(frozen=True, slots=True)
class Follow:
    """The node of that slot founds."""

    slot: int


Action = Persist | Answer | Reply | Refuse | WaitFor | Found | Follow | Target
