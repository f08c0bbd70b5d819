"""systemd-networkd: its files, and the few words that we say to it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firstboot.files import write_atomic
from firstboot.network.files import PREFIX
from firstboot.run import run

log = logging.getLogger(__name__)

UNIT = "systemd-networkd"
CHANGE_LIMIT_S = 120
UNSETTLED = frozenset({"pending", "initialized", "configuring"})


class LinkState(BaseModel):
    """One link of `networkctl list --json`: how far networkd is with it, and by which file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(alias="Name")
    setup: str = Field(default="", alias="AdministrativeState")
    file: str | None = Field(default=None, alias="NetworkFile")

    @property
    def settled(self) -> bool:
        return self.setup not in UNSETTLED


class _States(BaseModel):
    interfaces: tuple[LinkState, ...] = Field(default=(), alias="Interfaces")


def read_states() -> dict[str, LinkState]:
    """What networkd says of each link, by name; nothing where it does not answer."""
    done = run(["networkctl", "list", "--json=short"], timeout_s=CHANGE_LIMIT_S, check=False)
    return parse_states(done.stdout) if done.ok else {}


def parse_states(text: str) -> dict[str, LinkState]:
    try:
        return {link.name: link for link in _States.model_validate_json(text).interfaces}
    except ValidationError:
        log.warning("networkctl list --json says what is not understood: %s", text[:200])
        return {}


def reload() -> None:
    """Have the files read again. networkd configures again those links alone whose .network file changed."""
    run(["networkctl", "reload"], timeout_s=CHANGE_LIMIT_S)


def reconfigure(links: Sequence[str]) -> None:
    """Have these links configured from the beginning, each alone: one that is gone must not keep the others."""
    for link in links:
        run(["networkctl", "reconfigure", link], timeout_s=CHANGE_LIMIT_S, check=False)


def sync_files(folder: Path, files: Mapping[str, str]) -> bool:
    """Make our files in the folder exactly these; whether anything changed. Others' files are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = False
    for path in folder.glob(f"{PREFIX}*"):
        if path.name not in files:
            path.unlink()
            changed = True
    return write_files(folder, files) or changed


def write_files(folder: Path, files: Mapping[str, str]) -> bool:
    """Write those that differ; whether any did."""
    changed = [write_changed(folder / name, content) for name, content in files.items()]
    return any(changed)


def write_changed(path: Path, content: str) -> bool:
    """Write the file if its content differs; an empty content removes it. Whether anything changed."""
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if before == content:
        return False
    if content:
        write_atomic(path, content)
    else:
        path.unlink()
    return True
