"""The image that a lab boots: found, checked before anything is made, and kept apart from later builds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firstboot.errors import BadInputError
from firstboot.plan import GIB
from firstboot.run import run

SYSTEM_DISK_BYTES = 16 * GIB
QCOW2_MAGIC = b"QFI\xfb"
SECTOR = 512


class ImageInfo(BaseModel):
    """What `qemu-img info --output=json` says, as far as it matters here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: str
    virtual_size_bytes: int = Field(alias="virtual-size")
    backing_file: str | None = Field(default=None, alias="backing-filename")


@dataclass(frozen=True)
class NodeImage:
    """A checked image."""

    path: Path
    format: Literal["qcow2", "raw"]
    virtual_size_bytes: int


def find_image(folder: Path, plan_name: str) -> Path | None:
    """The image in a build's output folder, qcow2 before raw; none when the build has not run."""
    for suffix in ("qcow2", "raw"):
        path = folder / f"trivet-{plan_name}.{suffix}"
        if path.is_file():
            return path
    return None


def build_key(folder: Path) -> str:
    """The key in a build's build.json, which changes with every input; empty where there is none to read."""
    try:
        document = json.loads((folder / "build.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    key = document.get("key") if isinstance(document, dict) else None
    return key if isinstance(key, str) else ""


def check_image(path: Path) -> NodeImage:
    """Read an image's structure and partition table; raises BadInputError when a machine could not boot it."""
    hint = f"build it again: trivet build PROFILE -o {path.parent}"
    kind: Literal["qcow2", "raw"] = "qcow2" if path.suffix == ".qcow2" else "raw"
    with path.open("rb") as file:
        magic = file.read(len(QCOW2_MAGIC))
    if (kind == "qcow2") != (magic == QCOW2_MAGIC):
        raise BadInputError(f"image {path} is corrupt: it does not begin like a {kind} image", hint=hint)
    done = run(["qemu-img", "info", "-f", kind, "--output=json", path], timeout_s=60, check=False)
    try:
        info = ImageInfo.model_validate(json.loads(done.stdout or "null"))
    except (ValueError, ValidationError) as error:
        reason = (done.stderr.strip() or str(error)).splitlines()[-1]
        raise BadInputError(f"image {path} is corrupt: {reason}", hint=hint) from error
    if info.backing_file is not None:
        raise BadInputError(f"image {path} depends on another file, {info.backing_file}", hint=hint)
    if info.virtual_size_bytes > SYSTEM_DISK_BYTES:
        limit = SYSTEM_DISK_BYTES // GIB
        raise BadInputError(f"image {path} is larger than the lab's system disks of {limit} GiB", hint=hint)
    if kind == "qcow2":
        done = run(["qemu-img", "check", "-f", kind, path], timeout_s=300, check=False)
        if not done.ok:
            reason = (done.stderr.strip() or done.stdout.strip() or "qemu-img check failed").splitlines()[0]
            raise BadInputError(f"image {path} is corrupt: {reason}", hint=hint)
    reason = judge_table(_first_sectors(path, kind))
    if reason:
        raise BadInputError(f"image {path} is corrupt: {reason}", hint=hint)
    return NodeImage(path, kind, info.virtual_size_bytes)


def judge_table(sectors: bytes) -> str:
    """What is wrong with the disk's first two sectors, or nothing: UEFI specification 2.10, 5.2.3 and 5.3.2."""
    if len(sectors) < 2 * SECTOR:
        return "it ends before its partition table"
    if sectors[510:512] != b"\x55\xaa":
        return "its first sector has no boot signature"
    if sectors[SECTOR : SECTOR + 8] != b"EFI PART":
        return "it has no GPT partition table"
    return ""


def _first_sectors(path: Path, kind: str) -> bytes:
    if kind == "raw":
        with path.open("rb") as file:
            return file.read(2 * SECTOR)
    # Hex by qemu-io, since the gate for commands hands text through.
    done = run(["qemu-io", "-r", "-f", kind, "-c", f"read -v 0 {2 * SECTOR}", path], timeout_s=60, check=False)
    return parse_dump(done.stdout)


def parse_dump(text: str) -> bytes:
    """The bytes in `qemu-io -c 'read -v'`: lines `00000000:  eb 63 ...  text`."""
    data = bytearray()
    for line in text.splitlines():
        offset, colon, rest = line.partition(":")
        if colon and len(offset) == 8 and all(c in "0123456789abcdef" for c in offset):
            data += bytes.fromhex(rest[:50])
    return bytes(data)
