"""The base of every typed document: frozen, strict, unknown keys refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen document or a part of one."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
