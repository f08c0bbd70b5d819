"""Finds and reads seeds on media: FAT file systems labelled TRIVET-SEED, read without mounting them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from firstboot import paths
from firstboot.errors import BadInputError, RefusedError
from firstboot.files import TEMPORARY
from firstboot.run import run
from firstboot.seed import FILE_NAME, LABEL, MAX_BYTES, Seed, decode

NOT_FOUND = 2
"""blkid(8): nothing with this label."""


@dataclass(frozen=True)
class Found:
    """A seed and where it came from."""

    seed: Seed
    source: str


def find() -> Found | None:
    """The seed on the media; none when there is no medium with one. Raises when there are two that differ."""
    return choose([Found(decode(raw, source=device), device) for device, raw in _read_all()])


def choose(found: list[Found]) -> Found | None:
    """The only seed; copies of one seed count once. Pure."""
    if not found:
        return None
    first = found[0]
    for other in found[1:]:
        if other.seed != first.seed:
            raise RefusedError(
                f"two different seeds: {describe(first)} and {describe(other)}",
                hint="leave only the one that is for this machine",
            )
    return first


def describe(found: Found) -> str:
    """A seed in words, without its secret."""
    seed = found.seed
    return f"slot {seed.slot.number} of site {seed.site.name} ({seed.site.id[:12]}) on {found.source}"


def read_file(path: Path) -> Found:
    """The seed in an ordinary file; raises BadInputError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInputError(f"seed {path} can't be read: {error.strerror}") from error
    return Found(decode(raw, source=path), str(path))


def media() -> list[str]:
    """Block devices whose file system has the label, probed now: no cache, no udev."""
    done = run(
        ["blkid", "-c", "/dev/null", "-t", f"LABEL={LABEL}", "-o", "device"],
        timeout_s=120,
        check=False,
    )
    if not done.ok and done.returncode != NOT_FOUND:
        raise BadInputError(f"block devices can't be probed: blkid exited with {done.returncode}")
    return sorted(line for line in done.stdout.split("\n") if line.startswith("/dev/"))


def _read_all() -> list[tuple[str, bytes]]:
    contents = []
    for device in media():
        raw = read_medium(device)
        if raw is not None:
            contents.append((device, raw))
    return contents


def read_medium(device: str) -> bytes | None:
    """The bytes of the seed file in the FAT file system; none when it has no such file."""
    listed = run(["mdir", "-b", "-i", device, "::"], timeout_s=60, check=False, env=MTOOLS)
    if not listed.ok:
        raise BadInputError(
            f"medium {device} is labelled {LABEL}, but can't be read as FAT: {listed.stderr.strip()[:200]}",
            hint="write the medium again: trivet site seed SITE SLOT -o FILE --again",
        )
    if f"::/{FILE_NAME}" not in listed.stdout.lower().split():
        return None
    paths.RUN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".seed.", suffix=TEMPORARY, dir=paths.RUN) as folder:
        copy = Path(folder) / FILE_NAME
        # prlimit: a file system that lies about sizes must not fill the memory behind /run.
        done = run(
            ["prlimit", f"--fsize={MAX_BYTES + 1}", "mcopy", "-n", "-i", device, f"::{FILE_NAME}", copy],
            timeout_s=60,
            check=False,
            env=MTOOLS,
        )
        if not copy.is_file() or (not done.ok and copy.stat().st_size <= MAX_BYTES):
            raise BadInputError(
                f"seed on {device} can't be read: {done.stderr.strip()[:200]}",
                hint="write the medium again: trivet site seed SITE SLOT -o FILE --again",
            )
        return copy.read_bytes()[: MAX_BYTES + 1]


MTOOLS = {"MTOOLS_SKIP_CHECK": "1", "MTOOLS_NO_VFAT": "0"}
