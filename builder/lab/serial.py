"""How far a node is, by its serial log: firmware, boot menu, kernel, services, then the agent's phases."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

BOOT_STAGES = ("off", "firmware", "boot menu", "kernel", "services")
"""Before the agent speaks, in order."""

PHASES = (
    "unclaimed",
    "identity",
    "network",
    "disks",
    "discover",
    "admit",
    "found",
    "enrol",
    "pool",
    "volumes",
    "domains",
    "formed",
)
"""The agent's phases, in order; docs/formats.md."""

_ORDER = {name: rank for rank, name in enumerate((*BOOT_STAGES, *PHASES))}

_CONTROL = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|[()][0-9A-Za-z]|[=>78cM])|[\x00-\x08\x0b-\x1f\x7f]")
_AGENT = re.compile(r"trivet: (\S+) phase=(\S+) state=(\S+)\s?(.*)")
_RAM_DISK = re.compile(r"trivet: (.*)")
_TROUBLE = (
    re.compile(r"trivet: this machine does not go on.*"),
    re.compile(r"Kernel panic - not syncing.*"),
    re.compile(r"No bootable device.*"),
    re.compile(r"error: (?:no such|unknown|disk|file).*"),
    re.compile(r"grub rescue>.*"),
    re.compile(r"You are in emergency mode.*"),
    re.compile(r"\(initramfs\).*"),
    re.compile(r"ALERT!.*"),
)
FATAL = ("does not go on", "Kernel panic", "No bootable device", "grub rescue", "emergency mode", "(initramfs)")
"""Troubles after which a machine goes no further by itself."""

PROMPTS = ("(initramfs)", "grub rescue>", "login:", "Press Enter for maintenance")
MAX_PROMPT = 200

POWER_ON = "=== lab: power on"
"""The lab writes this line into the serial log when it switches a machine on."""

_MARKS = (
    ("firmware", re.compile(r"SeaBIOS|BdsDxe|UEFI (?:Interactive|firmware)|iPXE")),
    ("boot menu", re.compile(r"GNU GRUB|GRUB")),
    (
        "kernel",
        re.compile(r"Linux version |^\[ *\d+\.\d{3,}\]|Decompressing Linux|Loading, please wait|trivet-initrd"),
    ),
    ("services", re.compile(r"systemd\[1\]|Welcome to |\[  OK  \]|Starting \S+|login:")),
)


@dataclass(frozen=True)
class Progress:
    """How far one node is. `stage` is a boot stage or the agent's phase; `state` is empty before the agent speaks."""

    stage: str = "off"
    state: str = ""
    reason: str = ""
    trouble: str = ""
    boots: int = 0

    @property
    def from_agent(self) -> bool:
        return bool(self.state)

    @property
    def rank(self) -> int:
        """Grows with progress; a phase that this version does not know counts as the first."""
        return _ORDER.get(self.stage, _ORDER["identity"])

    @property
    def formed(self) -> bool:
        return self.stage == "formed"

    @property
    def text(self) -> str:
        """For a person: what the node is doing or waiting for."""
        if self.trouble:
            return self.trouble
        if self.from_agent:
            return f"{self.state}: {self.reason}" if self.reason else self.state
        if self.stage == "off":
            return "powered off"
        return f"booting ({self.stage})" + (f": {self.reason}" if self.reason else "")


def clean(line: str) -> str:
    """The line without terminal control sequences."""
    return _CONTROL.sub("", line).strip()


def advance(progress: Progress, line: str) -> Progress:
    """The progress after one more line of the log."""
    text = clean(line)
    if text.startswith(POWER_ON):
        return Progress(stage="firmware", boots=progress.boots + 1)
    agent = _AGENT.search(text)
    if agent:
        _, phase, state, reason = agent.groups()
        return replace(progress, stage=phase, state=state, reason=reason.strip(), trouble="")
    for pattern in _TROUBLE:
        trouble = pattern.search(text)
        if trouble and not progress.trouble:
            told = f"{progress.reason}; " if progress.reason and not progress.from_agent else ""
            return replace(progress, trouble=told + trouble.group(0))
    ram_disk = _RAM_DISK.search(text)
    if ram_disk and not progress.from_agent:
        return replace(progress, stage="kernel", reason=ram_disk.group(1), trouble="", boots=max(progress.boots, 1))
    for stage, pattern in _MARKS:
        if not pattern.search(text):
            continue
        if progress.from_agent:
            # While the agent speaks, later boot messages are noise, but firmware or menu mean a restart.
            if stage in ("firmware", "boot menu") and "GRUB" in text:
                return Progress(stage=stage, boots=progress.boots + 1)
            return progress
        if _ORDER[stage] > progress.rank:
            return replace(progress, stage=stage, reason="", trouble="", boots=max(progress.boots, 1))
        return progress
    return progress


class SerialLog:
    """Follows one growing serial log; lines are taken only once they are whole."""

    def __init__(self, path: Path, *, offset: int = 0) -> None:
        self.path = path
        self.progress = Progress()
        self._offset = offset
        self._rest = ""

    def read(self) -> list[Progress]:
        """Take what has come since; every change of the progress, in order."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        lines = (self._rest + data.decode("utf-8", errors="replace")).split("\n")
        self._rest = lines.pop()
        if len(self._rest) < MAX_PROMPT and any(word in clean(self._rest) for word in PROMPTS):
            # A prompt has no end of line, and nothing may follow it.
            lines.append(self._rest)
            self._rest = ""
        changes = []
        for line in lines:
            after = advance(self.progress, line)
            if after != self.progress:
                self.progress = after
                changes.append(after)
        return changes
