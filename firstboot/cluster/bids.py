"""What members say to each other to agree on the next epoch of their document, and what each keeps of it on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints

from firstboot.cluster.members import Epoch, Members


@dataclass(frozen=True, slots=True, order=True)
class Bid:
    """One try of one member to settle an epoch; of two, the later one is the greater."""

    number: Annotated[int, Field(ge=0, le=10**9)] = 0
    by: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{32})?$")] = ""


NO_BID = Bid()


@dataclass(frozen=True, slots=True)
class Accepted:
    """A document for the next epoch that a node gave its consent to, and in which bid."""

    bid: Bid
    members: Members


@dataclass(frozen=True, slots=True)
class RegisterState:
    """What a node keeps on disk before it answers. `members` is the latest epoch that it knows to be settled.

    `promised` and `accepted` are about the epoch after that: the latest bid that it takes part in, its last consent.
    """

    members: Members | None = None
    promised: Bid = NO_BID
    accepted: Accepted | None = None


# Questions. `base` is the settled epoch before the one that is asked about; who does not know it yet takes it over.


@dataclass(frozen=True, slots=True)
class Prepare:
    """Take part in this bid, and in no earlier one."""

    base: Members
    bid: Bid


@dataclass(frozen=True, slots=True)
class Accept:
    """Give consent to this document as the epoch after `base`."""

    base: Members
    bid: Bid
    members: Members


@dataclass(frozen=True, slots=True)
class Learn:
    """This epoch is settled."""

    members: Members


Question = Prepare | Accept | Learn


# Answers.


@dataclass(frozen=True, slots=True)
class Promise:
    """It takes part; the last consent that it gave for this epoch."""

    bid: Bid
    accepted: Accepted | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """It is on disk."""

    bid: Bid


@dataclass(frozen=True, slots=True)
class Busy:
    """It takes part in a later bid."""

    promised: Bid


@dataclass(frozen=True, slots=True)
class Newer:
    """That epoch is settled already: this is the latest one."""

    members: Members


@dataclass(frozen=True, slots=True)
class Learnt:
    """It knows that epoch now, or knew a later one."""

    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Rejected:
    """The question makes no sense, or could not be written down."""

    reason: Annotated[str, Field(max_length=500)]


Reaction = Promise | Consent | Busy | Newer | Learnt | Rejected
