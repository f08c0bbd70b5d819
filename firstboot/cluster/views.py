"""What a node says of itself to the other members: the view, exchanged over mutual TLS; format trivet-view 2.5."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from firstboot.cluster.ballots import FIRST, MAX_SLOTS, Attempt, Ids, Ready
from firstboot.cluster.likeness import Facts
from firstboot.cluster.members import Epoch
from firstboot.cluster.places import Places
from firstboot.cluster.skew import Source
from firstboot.model import Model
from firstboot.plan import Name
from firstboot.seed import Id


class Known(BaseModel):
    """What the answering node knows of the one that asks: the run that it takes for that node, and where that is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Id | None = None
    address: str | None = Field(default=None, max_length=64)


class View(Model):
    """One node's view. `claims` are its persisted votes: which node id holds which slot, its own included.

    `releases` are its agreements on who shall get a slot instead; `attempt` is what it takes part in, `ready` what it
    gave its consent to; see firstboot.cluster.ballots. `run` is random, made anew at each start of the agent.
    `address` is the management address that it wants to be reached at, `storage_address` the one for Gluster; each
    counts only once TLS succeeds there.
    """

    format: Literal["trivet-view"] = "trivet-view"
    version: str = "2.5"
    node_id: Id
    slot: int = Field(ge=1, le=MAX_SLOTS)
    seed_id: Id
    phase: str = Field(max_length=32)
    ready_disks: bool = False
    """The disks phase is done: this node's bricks can be used."""
    claims: Ids = {}
    releases: Ids = {}
    attempt: Attempt = FIRST
    ready: Ready | None = None
    founder: int | None = None
    run: Id | None = None
    address: str | None = Field(default=None, max_length=64)
    storage_address: str | None = Field(default=None, max_length=64)
    epoch: Epoch | None = None
    """The latest epoch of the members' document that it knows."""
    members: Id | None = None
    """The digest of that document."""
    reached: dict[int, Annotated[str, StringConstraints(max_length=64)]] = Field(default={}, max_length=300)
    """Slot → address where that slot's holder last proved itself to this node: where others may look for it."""
    places: Places | None = None
    """Who has which place in the trusted storage pool, as its glusterd sees that."""
    empty: tuple[Name, ...] = ()
    """Volumes of which a brick here was never filled: it is there instead of a removed node's."""
    authority: Id | None = None
    """Fingerprint of the cluster authority that it holds, and hands on to members."""
    certified: Id | None = None
    """Fingerprint of the cluster authority that its certificate is of."""
    healing: tuple[Name, ...] = ()
    """Volumes of which a brick here knows that another member's copy lacks something."""
    looked: Epoch | None = None
    """The epoch that `healing` is as of, when all volumes were looked at to the end; None: they were not yet."""
    clock: Source = Source.OWN
    """What its clock follows. The time that it shows is the HTTP date of its answer."""
    facts: Facts | None = None
    is_copy: bool = False
    """It found out that it runs from a copied disk, and stays out."""
    you: Known | None = None
