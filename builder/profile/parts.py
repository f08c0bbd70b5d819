"""What every part of a profile is made of: frozen, unknown keys refused; short forms."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from builder.profile.scalars import HOST_PATTERN

Short = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
Host = Annotated[str, StringConstraints(pattern=HOST_PATTERN, max_length=253)]


class Part(BaseModel):
    """A part of a profile: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def named(value: object) -> object:
    """A name alone stands for a mapping with nothing but that name."""
    return {"name": value} if isinstance(value, str) else value
