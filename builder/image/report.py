"""What `trivet build --json` prints; format trivet-build-result 1."""

from __future__ import annotations

from typing import Literal

from builder.image.publish import Manifest
from firstboot.model import Model


class StepReport(Model):
    """A finished step of a build."""

    name: str
    duration_s: float


class BuildReport(Model):
    """A finished build; `changed` is false when the folder held the right image already."""

    format: Literal["trivet-build-result"] = "trivet-build-result"
    version: str = "1.0"
    folder: str
    changed: bool
    duration_s: float
    steps: tuple[StepReport, ...]
    image: Manifest
