"""diskimage-builder: a root tree out of elements, as a tar file."""

from __future__ import annotations

import os
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from firstboot.errors import BadInputError, MissingError, TrivetError
from firstboot.run import CommandError, follow

ELEMENTS = Path(__file__).resolve().parents[2] / "elements"
STOCK = find_spec("diskimage_builder")
STOCK_ELEMENTS = Path((STOCK.origin if STOCK else None) or "diskimage_builder/missing").resolve().parent / "elements"

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT_VARIABLES = {"HOME", "TMPDIR", "no_proxy"}
"""Of the caller's environment; everything else could change what is built."""

STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \| (?:> )?")
NOISE = re.compile(r"\| (?:Unmount |INFO diskimage_builder|dib-run-parts [^RS]|dib-run-parts$|\+)")
"""What diskimage-builder says while it cleans up after a failure."""
TAIL_LINES = 15

HOOK = re.compile(r"dib-run-parts Running \S*/(?P<stage>[a-z-]+)\.d/(?P<hook>\S+)")
TIME_LIMIT_S = 3600
TMPFS_BYTES = 6 * 1024**3
"""With so much free memory the tree is made in it: up to 1.5 GiB of small files."""


@dataclass(frozen=True)
class Element:
    """A diskimage-builder element: its name and the folder that it is in."""

    name: str
    folder: Path


@dataclass(frozen=True)
class TreeOrder:
    """What disk-image-create is to make."""

    elements: tuple[Element, ...]
    release: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """DIB_* variables and proxies of this build."""


def dib_version() -> str:
    """The version of diskimage-builder in use."""
    return version("diskimage-builder")


def find_element(name_or_path: str, base: Path | None = None) -> Element:
    """An element by name (ours, of $ELEMENTS_PATH, diskimage-builder's) or by its folder's path, from `base` on.

    Raises BadInputError when there is none.
    """
    if "/" in name_or_path:
        folder = ((base or Path.cwd()) / name_or_path).resolve()
        if not folder.is_dir():
            raise BadInputError(f"element {name_or_path}: there is no folder {folder}")
        return Element(folder.name, folder)
    for parent in (ELEMENTS, *_callers_elements(), STOCK_ELEMENTS):
        if (parent / name_or_path).is_dir():
            return Element(name_or_path, parent / name_or_path)
    raise BadInputError(
        f"element {name_or_path} is not known",
        hint="name one of Trivet's or of diskimage-builder's elements, or put its parent folder in ELEMENTS_PATH",
    )


def _callers_elements() -> list[Path]:
    return [Path(part).absolute() for part in os.environ.get("ELEMENTS_PATH", "").split(":") if part]


def with_dependencies(elements: tuple[Element, ...]) -> tuple[Element, ...]:
    """The elements and all that they depend on, by name; for keys, which every hook that runs has to be in."""
    found: dict[str, Element] = {element.name: element for element in elements}
    parents = [ELEMENTS, *_callers_elements(), STOCK_ELEMENTS, *{element.folder.parent for element in elements}]
    waiting = list(elements)
    while waiting:
        listed = waiting.pop().folder / "element-deps"
        for name in listed.read_text().split() if listed.is_file() else ():
            folder = next((parent / name for parent in parents if (parent / name).is_dir()), None)
            if name not in found and folder is not None:
                found[name] = Element(name, folder)
                waiting.append(found[name])
    return tuple(found[name] for name in sorted(found))


def make_tree(
    order: TreeOrder, target: Path | None, *, work: Path, cache: Path, log_file: Path, on_step: Callable[[str], None]
) -> None:
    """Run disk-image-create; the tar file `target` holds the tree, unless an element has taken it elsewhere.

    It runs in mount and process namespaces of its own that die with this process, so that however it ends no mount
    is left behind. `on_step` hears of each hook.
    """
    program = Path(sys.executable).parent / "disk-image-create"
    if not program.is_file():
        raise MissingError("diskimage-builder is not installed beside this Python", hint="run make setup")

    at = "its beginning"
    lines: deque[str] = deque(maxlen=TAIL_LINES)

    def on_line(line: str) -> None:
        nonlocal at
        match = HOOK.search(line)
        if match:
            at = f"{match['stage']}.d/{match['hook']}"
            on_step(at)
        if not NOISE.search(line):
            lines.append(STAMP.sub("", line))

    folders = dict.fromkeys(str(folder) for folder in (ELEMENTS, *_callers_elements()))
    folders.update(dict.fromkeys(str(element.folder.parent) for element in order.elements))
    # diskimage-builder adds its own at the end.
    folders.pop(str(STOCK_ELEMENTS), None)
    unwanted = [name for name in os.environ if name not in KEPT_VARIABLES]
    before = os.umask(0o022)
    try:
        follow(
            [
                "env",
                *(f"--unset={name}" for name in unwanted if name not in _settings(order, folders, work, cache)),
                "setpriv", "--pdeathsig", "KILL",
                "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
                program, "-n", "-t", "tar" if target else "", "-o", (target or work / "tree.tar").with_suffix(""),
                *(element.name for element in order.elements),
            ],
            timeout_s=TIME_LIMIT_S,
            log_file=log_file,
            on_line=on_line,
            env=_settings(order, folders, work, cache),
            cwd=work,
        )  # fmt: skip
    except CommandError as error:
        tail = "".join(f"\n    {line}" for line in lines)
        raise TrivetError(f"diskimage-builder failed at {at}{tail}", hint=f"the whole log is {log_file}") from error
    finally:
        os.umask(before)


def _settings(order: TreeOrder, folders: Mapping[str, None], work: Path, cache: Path) -> dict[str, str]:
    return {
        "PATH": SEARCH_PATH,
        "LC_ALL": "C",
        "USER": "root",
        "HOME": os.environ.get("HOME", "/root"),
        "ELEMENTS_PATH": ":".join(folders),
        "TMP_DIR": str(work),
        "DIB_NO_TMPFS": "0" if _memory_bytes() >= TMPFS_BYTES else "1",
        "DIB_IMAGE_CACHE": str(cache),
        "DIB_LOCKFILES": str(cache / "locks"),
        # Any size: without one the whole tree is measured, for a disk that is never made.
        "DIB_IMAGE_SIZE": "4",
        "DIB_RELEASE": order.release,
        "DIB_PYTHON_EXEC": sys.executable,
        **order.settings,
    }


def _memory_bytes() -> int:
    """Memory that can be had without swapping (proc(5), MemAvailable)."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else 0
