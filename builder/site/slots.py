"""Slots: which are used and by what, and issuing the seed of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from builder.site.folder import Issue, Site, changing, save_record
from builder.site.root import new_seed_id
from firstboot.errors import BadInputError, RefusedError
from firstboot.plan import SlotPlan
from firstboot.seed import Overrides, Seed, SiteIdentity, SlotCredentials


@dataclass(frozen=True)
class SlotUse:
    """A slot and the seeds issued for it, oldest first; none means that the slot is free."""

    slot: SlotPlan
    issues: tuple[Issue, ...]


def slot_uses(site: Site) -> tuple[SlotUse, ...]:
    """Every slot of the plan with its issues, in order."""
    return tuple(
        SlotUse(slot, tuple(issue for issue in site.record.issues if issue.slot == slot.number))
        for slot in site.plan.slots
    )


def find_slot(site: Site, wanted: str) -> SlotPlan:
    """A slot by number or name; raises BadInputError with those that there are."""
    for slot in site.plan.slots:
        if wanted in (str(slot.number), slot.name):
            return slot
    known = ", ".join(f"{slot.number} ({slot.name})" for slot in site.plan.slots)
    raise BadInputError(f"site {site.name} has no slot {wanted}", hint=f"its slots are {known}")


def seed_again(site: Site, slot_number: int) -> str:
    """The command that makes another seed of a slot that has one."""
    return f"trivet site seed {site.name} {slot_number} -o FILE --again"


def issue_seed(
    site: Site,
    slot_number: int,
    *,
    written_to: str = "an unnamed medium",
    overrides: Overrides | None = None,
    again: bool = False,
    passphrase: str | None = None,
) -> Seed:
    """Make a seed with a certificate of its own, and record it before it is handed out.

    `written_to` says, for people, where the seed goes. Raises RefusedError when the slot has a seed already, unless
    `again`: then both seeds can claim the slot, and whichever does so first keeps it.
    """
    find_slot(site, str(slot_number))
    root = site.unlock_root(passphrase)
    with changing(site) as current:
        earlier = [issue for issue in current.record.issues if issue.slot == slot_number]
        if earlier and not again:
            raise RefusedError(
                f"slot {slot_number} of site {site.name} has a seed already, "
                f"written to {earlier[-1].written_to} on {earlier[-1].issued:%Y-%m-%d}",
                hint="take a free slot (trivet site slot list), or destroy that seed: "
                + seed_again(current, slot_number),
            )
        seed_id = new_seed_id()
        issued = root.issue_slot(slot_number, seed_id)
        issue = Issue(slot=slot_number, seed_id=seed_id, issued=datetime.now(UTC), written_to=written_to)
        save_record(current, current.record.model_copy(update={"issues": (*current.record.issues, issue)}))
    return Seed(
        site=SiteIdentity(id=site.id, name=site.name, root_certificate=root.certificate_pem),
        slot=SlotCredentials(number=slot_number, seed_id=seed_id, certificate=issued.certificate, key=issued.key),
        plan=current.plan,
        overrides=overrides or Overrides(),
    )
