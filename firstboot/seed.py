"""The seed: what one machine is given to fill one slot; format trivet-seed 2.

On a medium it is the file `seed.json` in a FAT file system labelled TRIVET-SEED: the image's own trivet-seed
partition, or a small disk that is attached.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from firstboot.document import Source, parse_fields, validate_fields
from firstboot.model import Model
from firstboot.plan import DiskRule, Interface, Plan

LABEL = "TRIVET-SEED"
FILE_NAME = "seed.json"
MAX_BYTES = 1024 * 1024

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""128 bits in hex: the first half of a SHA-256 over a public key (DER SubjectPublicKeyInfo)."""


class SiteIdentity(Model):
    """A site; `id` is the site root's key id, so that the certificate proves it."""

    id: Id
    name: str
    root_certificate: str


class SlotCredentials(Model):
    """A slot's single-use certificate and key (PEM), and the id of this issue of them.

    The key vouches for one node's key, once: what a node keeps of its seed has none.
    """

    number: int = Field(ge=1, le=300)
    seed_id: Id
    certificate: str
    key: str = Field(default="", repr=False)


class Overrides(Model):
    """What is different on this one machine, each in place of the plan's; and known peers.

    Disk rules by brick class; the cards of management and storage; those of bonds and of bridges by their name.
    """

    disks: dict[str, DiskRule] = {}
    interface: Interface | None = None
    storage: Interface | None = None
    bonds: dict[str, tuple[Interface, ...]] = {}
    bridges: dict[str, Interface] = {}
    peers: tuple[str, ...] = ()


class Seed(Model):
    """One machine's seed."""

    format: Literal["trivet-seed"] = "trivet-seed"
    version: str = "2.1"
    site: SiteIdentity
    slot: SlotCredentials
    plan: Plan
    overrides: Overrides = Overrides()


def without_key(seed: Seed) -> Seed:
    """The seed as a node keeps it, once its slot key is used."""
    return seed.model_copy(update={"slot": seed.slot.model_copy(update={"key": ""})})


def encode(seed: Seed) -> bytes:
    """The file's bytes: the document with `sha256` over its canonical form, which tells damage from malice."""
    document = seed.model_dump(mode="json")
    document["sha256"] = _digest(document)
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def decode(raw: bytes, *, source: str | Path) -> Seed:
    """Read a seed's bytes; raises BadInputError that names `source` and what is wrong."""
    origin = Source(
        f"seed {source}",
        hint="write the seed again: trivet site seed SITE SLOT -o FILE --again",
        version_hint="build the image with the Trivet that made the seed",
        max_bytes=MAX_BYTES,
    )
    fields = parse_fields(raw, Seed, origin)
    if fields.pop("sha256", None) != _digest(fields):
        raise origin.damaged("its checksum does not match")
    return validate_fields(fields, Seed, origin)


def _digest(document: dict[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
