"""What the verbs of `trivet site` print with --json; formats trivet-site-list, -slots and -status 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Literal

from builder.site.discovery import Hint
from builder.site.folder import Site
from builder.site.nodes import NodeReport, addresses_of, ask_site, look_for
from builder.site.slots import slot_uses
from builder.site.strays import strays
from firstboot.errors import Exit, TrivetError
from firstboot.model import Model
from firstboot.status import NodeStatus


class SiteLine(Model):
    """One site folder; `error` says why it can't be opened."""

    path: str
    name: str | None = None
    id: str | None = None
    mode: str | None = None
    slots: int | None = None
    issued: int | None = None
    error: str = ""


class SiteList(Model):
    """`trivet site list --json`."""

    format: Literal["trivet-site-list"] = "trivet-site-list"
    version: str = "1.0"
    sites: tuple[SiteLine, ...]


class IssueLine(Model):
    """A seed that was made for a slot."""

    seed_id: str
    issued: datetime
    written_to: str


class SlotLine(Model):
    """A slot; without issues it is free."""

    number: int
    name: str
    zone: str
    mac: str | None
    serial: str | None
    address: str | None
    issues: tuple[IssueLine, ...]


class SlotList(Model):
    """`trivet site slot list --json`."""

    format: Literal["trivet-site-slots"] = "trivet-site-slots"
    version: str = "1.0"
    site: str
    site_id: str
    slots: tuple[SlotLine, ...]


class NodeLine(Model):
    """What one address answered; `slot` is proved by its certificate.

    `stray`: why the machine is not that slot's node all the same, and counts for nothing here; empty when it is.
    """

    address: str
    slot: int | None
    name: str | None
    error: str
    status: NodeStatus | None
    stray: str = ""


class AnnouncedLine(Model):
    """What somebody says by mDNS of a slot that nobody answered for. Nothing of it is proved."""

    name: str
    slot: int
    addresses: tuple[str, ...]
    phase: str
    reason: str


class SiteStatus(Model):
    """`trivet site status --json`; `missing` are the slots that nobody answered for."""

    format: Literal["trivet-site-status"] = "trivet-site-status"
    version: str = "1.2"
    site: str
    site_id: str
    formed: bool
    nodes: tuple[NodeLine, ...]
    missing: tuple[str, ...]
    announced: tuple[AnnouncedLine, ...] = ()

    @property
    def exit_code(self) -> Exit:
        return Exit.OK if self.formed else Exit.WAITING


def slot_list(site: Site) -> SlotList:
    """The slots of a site and the seeds issued for them."""
    lines = tuple(
        SlotLine(
            number=use.slot.number,
            name=use.slot.name,
            zone=use.slot.zone,
            mac=use.slot.match.mac,
            serial=use.slot.match.serial,
            address=str(use.slot.address) if use.slot.address else None,
            issues=tuple(
                IssueLine(seed_id=issue.seed_id, issued=issue.issued, written_to=issue.written_to)
                for issue in use.issues
            ),
        )
        for use in slot_uses(site)
    )
    return SlotList(site=site.name, site_id=site.id, slots=lines)


def missing_slots(site: Site, reports: Sequence[NodeReport]) -> tuple[int, ...]:
    """The slots whose nodes did not answer, without those that the cluster closed: no machine is to come there."""
    counted = _counted(reports, strays_of(site, reports))
    heard = {report.slot for report in counted if report.slot is not None}
    statuses = [report.status for report in counted if report.status is not None]
    latest = max(statuses, key=lambda status: status.epoch or 0, default=None)
    expected = heard | set(latest.closed_slots if latest is not None else ())
    return tuple(slot.number for slot in site.plan.slots if slot.number not in expected)


def strays_of(site: Site, reports: Sequence[NodeReport]) -> dict[str, str]:
    """Why a machine that answers is not its slot's node, by node id."""
    return strays(reports, [issue.seed_id for issue in site.record.issues])


def _counted(reports: Sequence[NodeReport], stray: Mapping[str, str]) -> list[NodeReport]:
    return [report for report in reports if report.node_id not in stray]


def site_status(
    site: Site, reports: Sequence[NodeReport], *, every_slot: bool, hints: Sequence[Hint] = ()
) -> SiteStatus:
    """The reports as one document; a site is formed when every slot (or every node asked) says so."""
    names = {slot.number: slot.name for slot in site.plan.slots}
    missing = missing_slots(site, reports) if every_slot else ()
    stray = strays_of(site, reports)
    nodes = tuple(
        NodeLine(
            address=report.address,
            slot=report.slot,
            name=names.get(report.slot) if report.slot is not None else None,
            error=report.error,
            status=report.status,
            stray=stray.get(report.node_id or "", ""),
        )
        for report in reports
    )
    announced = tuple(
        AnnouncedLine(
            name=names[hint.slot], slot=hint.slot, addresses=hint.addresses, phase=hint.phase, reason=hint.why
        )
        for hint in sorted(hints, key=lambda hint: hint.slot)
        if hint.slot in missing
    )
    counted = [report.status for report in _counted(reports, stray)]
    formed = not missing and bool(counted) and all(status and status.phase == "formed" for status in counted)
    return SiteStatus(
        site=site.name,
        site_id=site.id,
        formed=formed,
        nodes=nodes,
        missing=tuple(names[slot] for slot in missing),
        announced=announced,
    )


def whole_site(site: Site, *, browse_s: float) -> SiteStatus:
    """Ask every node that can be found; of those that can't prove themselves yet, say what they announce."""
    unknown = frozenset(slot.number for slot in site.plan.slots if slot.address is None)
    hints = look_for(site, unknown, browse_s=browse_s)
    reports = ask_site(site, addresses_of(site, hints))
    with suppress(TrivetError):
        hints += look_for(site, frozenset(missing_slots(site, reports)) - unknown, browse_s=browse_s)
    return site_status(site, reports, every_slot=True, hints=hints)
