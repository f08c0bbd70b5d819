"""glusterd's own files, as a crash can leave them: what was begun and never written is taken away."""

from __future__ import annotations

import logging
import re
import shutil
import uuid
from pathlib import Path

from firstboot.files import write_atomic

log = logging.getLogger(__name__)

STORE = Path("/var/lib/glusterd")
CUT_OFF_S = 10.0
"""Between the messages by which nodes meet pass milliseconds, on an emulated machine a second."""
ASKED = re.compile(r"^state=1$", re.MULTILINE)
"""This side probed, and had no word from the other, which need not know of it: it is probed again."""
UNANSWERED = re.compile(r"^state=(2|5|9|10)$", re.MULTILINE)
"""Further states of a meeting that glusterd keeps across its end, but does not go on from (glusterd-sm.c)."""


def mend(store: Path = STORE) -> list[Path]:
    """Remove what keeps glusterd from starting, and holds nothing; only while it does not run.

    glusterd makes a file empty, and puts the content there by renaming another. So an empty file was never written,
    and a volume without its definition, or never started and without that of a brick, was not created to its end.
    """
    useless = [path for path in _files(store / "peers") if not _is_uuid(path.name) or not _is_answered(path)]
    useless += [folder for folder in _folders(store / "vols") if not _is_whole(folder)]
    for path in useless:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        log.warning("removed %s, which glusterd began to write and was cut off", path)
    return useless + [path for path in _files(store / "peers") if _befriend(path)]


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
    info = volume / "info"
    if not info.is_file() or not info.stat().st_size:
        return False
    fields = dict(line.partition("=")[::2] for line in info.read_text(errors="replace").splitlines())
    bricks = [path for path in _files(volume / "bricks") if path.stat().st_size]
    was_started = fields.get("status") != "0"
    return was_started or len(bricks) >= int(re.sub(r"\D", "", fields.get("count", "")) or 0)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _is_uuid(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
