"""What `trivet-node version` and `trivet-node phases` print with --json."""

from __future__ import annotations

from typing import Literal

from firstboot.model import Model


class VersionReport(Model):
    """Of the agent and the image it came in; `epoch` (build time, seconds since 1970) and `key` only on a node."""

    format: Literal["trivet-node-version"] = "trivet-node-version"
    version: str = "1.0"
    trivet_version: str
    epoch: int | None = None
    key: str | None = None


class PhaseTitle(Model):
    """A phase, and what it does."""

    name: str
    title: str


class PhasesReport(Model):
    """The phases in order."""

    format: Literal["trivet-node-phases"] = "trivet-node-phases"
    version: str = "1.0"
    phases: tuple[PhaseTitle, ...]
