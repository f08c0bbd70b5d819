"""The seed: what one machine is given to fill one slot; format trivet-seed 1.

On a medium it is the file `seed.json` in a FAT file system labelled TRIVET-SEED: the image's own trivet-seed
partition, or a small disk that is attached.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from firstboot.errors import BadInputError
from firstboot.model import Model
from firstboot.plan import DiskRule, Interface, Plan

LABEL = "TRIVET-SEED"
FILE_NAME = "seed.json"
MAX_BYTES = 1024 * 1024
MAJOR = 1

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""128 bits in hex: the first half of a SHA-256 over a public key (DER SubjectPublicKeyInfo)."""


class SiteIdentity(Model):
    """A site; `id` is the site root's key id, so that the certificate proves it."""

    id: Id
    name: str
    root_certificate: str


class SlotCredentials(Model):
    """A slot's single-use certificate and key (PEM), and the id of this issue of them."""

    number: int = Field(ge=1, le=300)
    seed_id: Id
    certificate: str
    key: str = Field(repr=False)


class Overrides(Model):
    """What is different on this one machine: disk rules by brick class, the management interface, known peers."""

    disks: dict[str, DiskRule] = {}
    interface: Interface | None = None
    peers: tuple[str, ...] = ()


class Seed(Model):
    """One machine's seed."""

    format: Literal["trivet-seed"] = "trivet-seed"
    version: str = "1.0"
    site: SiteIdentity
    slot: SlotCredentials
    plan: Plan
    overrides: Overrides = Overrides()


def encode(seed: Seed) -> bytes:
    """The file's bytes: the document with `sha256` over its canonical form, which tells damage from malice."""
    document = seed.model_dump(mode="json")
    document["sha256"] = _digest(document)
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def decode(raw: bytes, *, source: str | Path) -> Seed:
    """Read a seed's bytes; raises BadInputError that names `source` and what is wrong."""
    hint = "write the seed again: trivet site seed SITE SLOT -o FILE --again"
    if len(raw) > MAX_BYTES:
        raise BadInputError(f"seed {source} is larger than {MAX_BYTES} bytes", hint=hint)
    try:
        document = json.loads(raw)
    except ValueError as error:
        raise BadInputError(f"seed {source} is damaged: {error}", hint=hint) from error
    if not isinstance(document, dict) or document.get("format") != "trivet-seed":
        raise BadInputError(f"{source} is not a Trivet seed", hint=hint)
    major = str(document.get("version", "")).partition(".")[0]
    if major != str(MAJOR):
        raise BadInputError(
            f"seed {source} has format version {document.get('version')}; this node reads {MAJOR}.x",
            hint="build the image with the Trivet that made the seed",
        )
    if document.pop("sha256", None) != _digest(document):
        raise BadInputError(f"seed {source} is damaged: its checksum does not match", hint=hint)
    try:
        return Seed.model_validate_json(json.dumps(document))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInputError(f"seed {source}: {where}: {first['msg']}", hint=hint) from None


def _digest(document: dict[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
