"""glusterd's own files, as a crash can leave them: what was never written is removed, what is damaged set aside."""

from __future__ import annotations

import logging
import re
import shutil
import uuid
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from firstboot.files import sync_folder, write_atomic
from firstboot.paths import GLUSTERD_ASIDE

log = logging.getLogger(__name__)

STORE = Path("/var/lib/glusterd")
CUT_OFF_S = 10.0
"""Between the messages by which nodes meet pass milliseconds, on an emulated machine a second."""
ASKED = re.compile(r"^state=1$", re.MULTILINE)
"""This side probed, and had no word from the other, which need not know of it: it is probed again."""
UNANSWERED = re.compile(r"^state=(2|5|9|10)$", re.MULTILINE)
"""Further states of a meeting that glusterd keeps across its end, but does not go on from (glusterd-sm.c)."""


def mend(store: Path = STORE) -> list[Path]:
    """Take away what keeps glusterd from starting; only while it does not run.

    glusterd makes a file empty, and puts the content there by renaming another. So an empty file was never written,
    and a volume without its definition, or never started and without that of a brick, was not created to its end.
    What may have been created is never removed but set aside: glusterd gets it from the other members when it meets
    them, and where they have lost it too, it is there still.
    """
    useless = [path for path in _files(store / "peers") if not _is_uuid(path.name) or not _is_answered(path)]
    for path in useless:
        path.unlink()
        log.warning("removed %s, which glusterd began to write and was cut off", path)
    broken = [folder for folder in _folders(store / "vols") if not _is_whole(folder)]
    for folder in broken:
        if _may_be_created(folder):
            log.warning("%s is damaged: glusterd does not start with it; set aside as %s", folder, _set_aside(folder))
        else:
            shutil.rmtree(folder)
            log.warning("removed %s, which glusterd began to write and was cut off", folder)
    return useless + broken + [path for path in _files(store / "peers") if _befriend(path)]


def set_aside(volume: str, store: Path = STORE) -> list[Path]:
    """The damaged definitions of a volume that were set aside."""
    return [path for path in _folders(store / GLUSTERD_ASIDE.name) if path.name.partition(".")[0] == volume]


def _set_aside(folder: Path) -> Path:
    """Move a volume's folder, durably. A volume's name has no dot, so that a number makes it no other's."""
    place = folder.parents[1] / GLUSTERD_ASIDE.name
    place.mkdir(mode=0o700, exist_ok=True)
    names = (f"{folder.name}.{number}" if number else folder.name for number in count())
    target = next(place / name for name in names if not (place / name).exists())
    folder.rename(target)
    for changed in (place, folder.parent, place.parent):
        sync_folder(changed)
    return target


def _is_answered(peer: Path) -> bool:
    text = peer.read_text(errors="replace")
    return bool(text) and not ASKED.search(text)


def _befriend(peer: Path) -> bool:
    """Have glusterd ask a peer again whose answer was cut off; True when the file was changed.

    As "in cluster" it asks whenever it connects, and the other side compares the volumes and accepts or refuses.
    """
    text = peer.read_text(errors="replace")
    asking = UNANSWERED.sub("state=3", text)
    if asking != text:
        write_atomic(peer, asking, mode=0o600)
        log.warning("%s waited for an answer that can't come any more: it is asked again", peer)
    return asking != text


def half_met(store: Path = STORE) -> frozenset[str]:
    """Peers that glusterd knows by name alone. In the middle of a probe that is so for a moment."""
    return frozenset(path.name for path in _files(store / "peers") if not _is_uuid(path.name.partition(".tmp")[0]))


def lacks_volfiles(store: Path = STORE) -> bool:
    """Whether a file that a brick or a client is started with is not there: glusterd renames them without fsync."""
    for volume in _folders(store / "vols"):
        if any(not path.stat().st_size for path in volume.glob("*.vol")):
            return True
        for brick in _files(volume / "bricks"):
            host, _, path = brick.name.partition(":-")
            if not (volume / f"{volume.name}.{host}.{path}.vol").exists():
                return True
    return False


def _is_whole(volume: Path) -> bool:
    """Whether glusterd can read a definition: it needs every brick's file (glusterd_store_retrieve_bricks)."""
    try:
        info = _fields(volume / "info")
        bricks = _number(info.get("count", ""))
        return bricks > 0 and "status" in info and all(_has_brick(volume, info, index) for index in range(bricks))
    except OSError:
        return False


def _has_brick(volume: Path, info: Mapping[str, str], index: int) -> bool:
    brick = _fields(volume / "bricks" / info.get(f"brick-{index}", ""))
    return "hostname" in brick and "path" in brick


def _may_be_created(volume: Path) -> bool:
    """Whether a damaged definition may have been whole: what tells that it was started, or leaves it open.

    Bricks have a port once they were started. glusterd writes the checksum last, so that one without a definition
    tells that this was lost; and it never writes a part of a file.
    """
    try:
        states = [_fields(volume / name).get("status") for name in ("info", "info.tmp")]
        ports = [_fields(brick).get("listen-port", "0") for brick in _files(volume / "bricks")]
        was_written = any(path.stat().st_size for path in _files(volume) if path.name in {"info", "cksum"})
    except OSError:
        return True
    lost = states[0] is None and was_written
    return lost or any(state not in {None, "0"} for state in states) or any(port != "0" for port in ports)


def _fields(path: Path) -> dict[str, str]:
    """A file's `name=value` lines; none of what is not there or no file."""
    if not path.is_file():
        return {}
    lines = path.read_text(errors="replace").splitlines()
    return dict(line.partition("=")[::2] for line in lines if "=" in line)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _is_uuid(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
