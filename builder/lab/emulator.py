"""Which QEMU runs the lab's machines: this machine's, or, to emulate where that is old, Debian 13's from a folder.

QEMU 7.2 walks a list of translated blocks at every store to a page that once held code: emulated nodes took 150 to
190 CPU seconds to their login and some stood still for minutes; 10.0 took 98 and none did (three at once, two cores).
"""

from __future__ import annotations

import fcntl
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from builder.image.build import default_cache
from builder.image.cache import Cache
from builder.image.mirror import host_mirrors
from builder.image.tools import tools_archive
from builder.lab.state import EMULATOR, labs_root
from builder.lab.template import render
from builder.lab.view import View
from firstboot.errors import TrivetError
from firstboot.files import write_atomic
from firstboot.run import run

GOOD_MAJOR = 10
PACKAGES = ("qemu-system-x86", "seabios")
LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
FIXED_FOLDERS = (LIBRARIES / "qemu", Path("usr/share/qemu"), Path("usr/share/seabios"))
"""Where QEMU looks for its modules and firmware; these paths are compiled in."""


@dataclass(frozen=True)
class OtherQemu:
    """A QEMU in a folder; `overlays` are what to lay over which of the machine's own paths, so that it is found."""

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def launcher(self) -> Path:
        return self.folder / EMULATOR.name

    @property
    def overlays(self) -> dict[Path, Path]:
        folders = {self.tree / path: Path("/") / path for path in FIXED_FOLDERS}
        return {**folders, self.launcher: EMULATOR}


def major_version(text: str) -> int:
    """The major version in what `qemu-system-x86_64 --version` prints; 0 when it says none."""
    match = re.search(r"QEMU emulator version (\d+)\.", text)
    return int(match[1]) if match else 0


def choose(accelerator: str, private_daemon: bool, view: View) -> OtherQemu | None:
    """Another QEMU for a new lab, or none. The machine's own libvirt daemon runs the machine's own QEMU."""
    if accelerator == "kvm" or not private_daemon:
        return None
    version = major_version(run([EMULATOR, "--version"], timeout_s=60).stdout)
    if version >= GOOD_MAJOR:
        return None
    kept = OtherQemu(labs_root() / ".qemu")
    if kept.launcher.exists():
        return kept
    view.step(f"fetching Debian 13's QEMU to emulate with: this machine's QEMU {version} is slow at it")
    try:
        _unpack(kept)
    except TrivetError as error:
        view.step(f"going on with QEMU {version}, under which nodes may stand still for minutes: {error}")
        return None
    return kept


def _unpack(kept: OtherQemu) -> None:
    kept.folder.parent.mkdir(parents=True, exist_ok=True)
    with kept.folder.with_name(f"{kept.folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.launcher.exists():
            return
        archive = tools_archive(Cache(default_cache()), PACKAGES, host_mirrors(), lambda: None)
        shutil.rmtree(kept.folder, ignore_errors=True)
        kept.tree.mkdir(parents=True)
        run(["tar", "--extract", "--file", archive, "--directory", kept.tree, "--exclude=./dev/*"], timeout_s=600)
        for path in FIXED_FOLDERS:  # an empty one hides this machine's all the same, which don't fit
            (kept.tree / path).mkdir(parents=True, exist_ok=True)
        text = render(
            "qemu.py.j2",
            python=sys.executable,
            libraries=kept.tree / LIBRARIES,
            qemu=kept.tree / EMULATOR.relative_to("/"),
        )
        # Written last: with the launcher the folder is whole.
        write_atomic(kept.launcher, text, mode=0o755)
