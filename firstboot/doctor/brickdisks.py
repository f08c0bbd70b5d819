"""Disks: what the plan's rules choose on this machine, in the words of the selection itself; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from firstboot.disks.inventory import read_inventory
from firstboot.disks.mounts import is_mounted
from firstboot.disks.phase import wanted
from firstboot.disks.records import DiskRecords, read_records
from firstboot.disks.selection import Decision, Missing, Refused, choose
from firstboot.disks.tags import Brick
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped
from firstboot.errors import TrivetError


def check(node: Node) -> Iterator[Judgement]:
    """The choice, then the bricks' mounts."""
    wants, records = wanted(node.claimed_seed), read_records()
    if not wants:
        yield skipped("no volume has a brick on this machine")
        return
    yield judge_choice(choose(wants, read_inventory(), records))
    done = [(w, i) for w in wants for i in range(w.brick_class.count) if _ready(records, w.name, i)]
    yield judge_mounts([(brick, _place(brick)) for want, index in done for brick in want.bricks(index)])


def judge_choice(decision: Decision) -> Judgement:
    """The selection's own refusal, or what it chose."""
    if isinstance(decision, Refused | Missing):
        return failed(decision.reason, decision.hint, about="choice")
    texts = [
        f"{p.want.name} {p.index}: {p.disk.describe()}, {'blank' if p.fresh else 'prepared before'}"
        for p in decision.placements
    ]
    return passed("; ".join(texts), about="choice")


def judge_mounts(places: Sequence[tuple[Brick, str]]) -> Judgement:
    """Every brick of a disk that is ready, with what is wrong with its mount (empty: nothing)."""
    if not places:
        return skipped("no brick has been made yet", about="mounts")
    wrong = [f"brick {brick.volume}-{brick.index} {problem}" for brick, problem in places if problem]
    if wrong:
        return failed(
            "; ".join(wrong), "the agent mounts bricks in the phase disks: trivet-node status", about="mounts"
        )
    return passed(f"{len(places)} brick(s) at their places", about="mounts")


def _ready(records: DiskRecords, name: str, index: int) -> bool:
    record = records.get(name, index)
    return record is not None and record.ready


def _place(brick: Brick) -> str:
    try:
        return "" if is_mounted(brick) else "is not mounted"
    except TrivetError as error:
        return f"can't be used: {error.message}"
