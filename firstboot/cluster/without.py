"""The order `form --without`: what a site would do without, and the operator's word that it shall go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import Field

from firstboot.cluster.claims import Ballot
from firstboot.cluster.founder import named
from firstboot.context import Context
from firstboot.control import Progress
from firstboot.errors import BadInputError, RefusedError
from firstboot.model import Model
from firstboot.plan import SlotPlan


class VolumeWithout(Model):
    """A volume of the plan, and how it would be made; `copies` is none when it can't be."""

    name: str
    bricks: int
    planned_bricks: int
    copies: int | None
    planned_copies: int
    text: str


class WithoutReport(Model):
    """What `trivet-node form --without` prints with --json; `attempt` is none as long as nothing was ordered."""

    format: Literal["trivet-without"] = "trivet-without"
    version: str = "1.0"
    slots: tuple[int, ...]
    names: tuple[str, ...]
    volumes: tuple[VolumeWithout, ...] = ()
    attempt: int | None = Field(default=None, ge=1)


class Without:
    """Carries the order out. `ballot` is the running formation's, or None before discovery."""

    def __init__(self, context: Context, ballot: Callable[[], Ballot | None]) -> None:
        self._context = context
        self._ballot = ballot

    def look(self, arguments: Mapping[str, object], progress: Progress) -> Model:
        """What would be missing; changes nothing."""
        return self._report(self._slots(arguments))

    def order(self, arguments: Mapping[str, object], progress: Progress) -> Model:
        """Go on without these slots; raises RefusedError where that is not safe, with the reason."""
        slots = self._slots(arguments)
        ballot = self._ballot()
        if ballot is None:
            raise RefusedError(
                "this node has not come to look for the others yet", hint="wait for the phase discover, then again"
            )
        progress(f"asking the others to go on without {', '.join(slot.name for slot in slots)}")
        attempt = ballot.leave_out([slot.number for slot in slots])
        return self._report(slots).model_copy(update={"attempt": attempt.number})

    def _slots(self, arguments: Mapping[str, object]) -> tuple[SlotPlan, ...]:
        if self._context.seed is None:
            raise RefusedError("this machine has no seed: it has no slot and no site", hint="trivet-node status")
        wanted = arguments.get("slots")
        if not isinstance(wanted, list) or not wanted:
            raise BadInputError("name the slots to go on without", hint="trivet-node form --without 3")
        return tuple(dict.fromkeys(self._slot(str(word)) for word in wanted))

    def _slot(self, wanted: str) -> SlotPlan:
        plan = self._context.plan
        for slot in plan.slots:
            if wanted in (str(slot.number), slot.name):
                return slot
        known = named([slot.number for slot in plan.slots], {slot.number: slot.name for slot in plan.slots})
        raise BadInputError(f"the site has no slot {wanted[:40]}", hint=f"its slots: {known}")

    def _report(self, slots: tuple[SlotPlan, ...]) -> WithoutReport:
        return WithoutReport(
            slots=tuple(slot.number for slot in slots),
            names=tuple(slot.name for slot in slots),
            volumes=volumes(self._context, frozenset(slot.number for slot in slots)),
        )


def volumes(context: Context, without: frozenset[int]) -> tuple[VolumeWithout, ...]:
    """What becomes of each volume of the plan."""
    if not context.plan.mode.has_gluster:
        return ()
    from firstboot.gluster.volumes import possible
    from firstboot.gluster.wanted import wanted_volumes

    left = frozenset(slot.number for slot in context.plan.slots) - without
    found = []
    for wanted, (name, made) in zip(wanted_volumes(context), possible(context, left), strict=True):
        planned, copies = len(wanted.layout.bricks), wanted.layout.set_size
        if made is None:
            text = "can't be made: the site waits for those machines with it"
        elif not made.lacking:
            text = "is as planned"
        elif made.copies < copies:
            text = f"has {made.copies} copies instead of {copies}; heals to {copies} when the machine comes"
        else:
            text = f"has {len(made.bricks)} of {planned} bricks: less space; grows when the machine comes"
        found.append(
            VolumeWithout(
                name=name,
                bricks=len(made.bricks) if made else 0,
                planned_bricks=planned,
                copies=made.copies if made else None,
                planned_copies=copies,
                text=text,
            )
        )
    return tuple(found)
