"""What the register is told and what it asks for: its typed events and actions."""

from __future__ import annotations

from dataclasses import dataclass

from firstboot.cluster.bids import Question, Reaction, RegisterState
from firstboot.cluster.changes import Change, Refusal
from firstboot.cluster.members import Members

# Events. `now_s` is any clock of this machine that does not go back.


@dataclass(frozen=True, slots=True)
class Opened:
    """The agent started, with what the disk has."""

    state: RegisterState
    now_s: float


@dataclass(frozen=True, slots=True)
class Settled:
    """An epoch is known to be settled: by the decision, or because a member shows it."""

    members: Members
    now_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A node asks; `sender` is its node id, as TLS proved."""

    request: int
    sender: str
    question: Question
    now_s: float


@dataclass(frozen=True, slots=True)
class Reacted:
    """The answer to a Call."""

    call: int
    node_id: str
    reaction: Reaction
    now_s: float


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A Call got no answer; the node may have heard it all the same."""

    call: int
    node_id: str
    cause: str
    now_s: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """Somebody at this node wants a change, or with none the latest document, as of now."""

    request: int
    change: Change | None
    now_s: float


@dataclass(frozen=True, slots=True)
class Saved:
    """The state of that Save is on disk, fsynced."""

    serial: int
    now_s: float


@dataclass(frozen=True, slots=True)
class SaveFailed:
    """It is not, and will not be."""

    serial: int
    now_s: float


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Time went on."""

    now_s: float


Event = Opened | Settled | Asked | Reacted | Unanswered | Wanted | Saved | SaveFailed | Elapsed


# How a wish ends.


@dataclass(frozen=True, slots=True)
class Made:
    """It holds in this epoch, which was the latest one at some moment since it was wanted."""

    members: Members


@dataclass(frozen=True, slots=True)
class Denied:
    """It can't be made in this epoch, which was the latest one at some moment since it was wanted."""

    refusal: Refusal
    epoch: int


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Too few members answer. `open`: the change was sent out and may still be made; else it never will be."""

    reason: str
    open: bool


End = Made | Denied | GivenUp


# Actions.


@dataclass(frozen=True, slots=True)
class Save:
    """Write this state and fsync, then tell Saved or SaveFailed. One at a time."""

    serial: int
    state: RegisterState


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer the question of that number."""

    request: int
    reaction: Reaction


@dataclass(frozen=True, slots=True)
class Call:
    """Ask that node, and tell Reacted or Unanswered."""

    call: int
    node_id: str
    question: Question


@dataclass(frozen=True, slots=True)
class Finished:
    """The wish of that number ended."""

    request: int
    end: End


Action = Save | Respond | Call | Finished
