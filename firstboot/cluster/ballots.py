"""What a node has on disk of formation and shows to the others: claims, the attempt it takes part in, what it is
ready for. docs/formation.md says what each is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from pydantic import Field, StringConstraints

from firstboot.seed import Id

MAX_SLOTS = 300

Slot = Annotated[int, Field(ge=1, le=MAX_SLOTS)]
Ids = Annotated[Mapping[Slot, Id], Field(max_length=MAX_SLOTS)]


@dataclass(frozen=True, slots=True, order=True)
class Attempt:
    """One try to agree on the members; of two, the later one is the greater. The first asks every slot.

    `without`: the slots that are not asked, ascending. `by`: the node that began it, empty for the first.
    """

    number: Annotated[int, Field(ge=0, le=10**9)] = 0
    without: Annotated[tuple[Slot, ...], Field(max_length=MAX_SLOTS)] = ()
    by: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{32})?$")] = ""


FIRST = Attempt()


@dataclass(frozen=True, slots=True)
class Proposal:
    """Who the members shall be: node id and seed id by slot; and the token of the founder's machine."""

    claims: Annotated[Ids, Field(min_length=1)]
    seeds: Ids
    token: Id

    @property
    def founder(self) -> int:
        """The slot that founds."""
        return min(self.claims)

    def has(self, slot: int, node_id: str) -> bool:
        """Whether that node is a member, in that slot."""
        return self.claims.get(slot) == node_id


@dataclass(frozen=True, slots=True)
class Ready:
    """A node's consent to a proposal, given in an attempt; only a later attempt can replace it."""

    attempt: Attempt
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class Votes:
    """What a node keeps on disk before it tells anybody.

    `releases` are agreements: slot number → the node that shall hold it in place of the one in `claims`. `attempt` is
    the latest that the node takes part in: it gives no consent in an earlier one. `token` is the node's own, from the
    moment on at which it first proposed. `founder` is the slot that was decided: then `ready` has the members.
    """

    claims: Mapping[int, str] = field(default_factory=dict)
    releases: Mapping[int, str] = field(default_factory=dict)
    attempt: Attempt = FIRST
    ready: Ready | None = None
    token: str | None = None
    founder: int | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it gave its consent in the attempt that it takes part in."""
        return self.ready is not None and self.ready.attempt == self.attempt


class Shown(Protocol):
    """What the core reads of a member's view; firstboot.cluster.views.View has more."""

    @property
    def node_id(self) -> str: ...
    @property
    def seed_id(self) -> str: ...
    @property
    def claims(self) -> Mapping[int, str]: ...
    @property
    def releases(self) -> Mapping[int, str]: ...
    @property
    def attempt(self) -> Attempt: ...
    @property
    def ready(self) -> Ready | None: ...
    @property
    def founder(self) -> int | None: ...
    @property
    def run(self) -> str | None: ...
    @property
    def address(self) -> str | None: ...
    @property
    def storage_address(self) -> str | None: ...
