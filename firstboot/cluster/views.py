"""What a node says of itself to the other members: the view, exchanged over mutual TLS; format trivet-view 1.2."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from firstboot.model import Model
from firstboot.seed import Id


class View(Model):
    """One node's view. `claims` are its persisted votes: which node id holds which slot, its own included.

    `releases` are its agreements on who shall get a slot instead; `ready` is the founder's token once its claims are
    frozen. `run` is random, made anew at each start of the agent. `address` is the management address that it wants
    to be reached at; it counts only once TLS succeeds there.
    """

    format: Literal["trivet-view"] = "trivet-view"
    version: str = "1.2"
    node_id: Id
    slot: int = Field(ge=1, le=300)
    seed_id: Id
    phase: str = Field(max_length=32)
    ready_disks: bool = False
    """The disks phase is done: this node's bricks can be used."""
    claims: dict[int, Id] = Field(default={}, max_length=300)
    releases: dict[int, Id] = Field(default={}, max_length=300)
    ready: Id | None = None
    founder: int | None = None
    run: Id | None = None
    address: str | None = Field(default=None, max_length=64)
    authority: Id | None = None
    """Fingerprint of the cluster authority that it holds, and hands on to members."""
