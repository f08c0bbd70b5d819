"""JSON Schema of profiles, for editors, and of what `--json` prints."""

from __future__ import annotations

from pydantic import Field

from builder.profile.model import FORMAT, Profile
from firstboot.model import Model

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class ProblemReport(Model):
    """One thing that is wrong in a profile."""

    line: int = Field(ge=1)
    path: str
    message: str
    allowed: str


class CheckReport(Model):
    """What `trivet profile check --json` prints."""

    format: str = Field("trivet-profile-check", pattern="^trivet-profile-check$")
    version: str = Field("1.0", pattern=r"^1\.[0-9]+$")
    file: str
    ok: bool
    problems: tuple[ProblemReport, ...]


def profile_schema() -> dict[str, object]:
    """The schema of a profile as it is written; short forms included."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:trivet:profile:{FORMAT}",
        **Profile.model_json_schema(mode="validation"),
        "title": f"Trivet profile, format {FORMAT}",
    }
