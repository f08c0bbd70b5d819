"""The tables of `trivet site` for people."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from builder.site.reports import NodeLine, SiteList, SiteStatus, SlotList


def print_sites(document: SiteList, folder: Path) -> None:
    """The sites of a folder."""
    console = Console()
    if not document.sites:
        console.print(f"no sites in {escape(str(folder))}; make one: trivet site new NAME --profile PROFILE")
        return
    table = _table("site", "mode", "slots", "seeds", "id", "folder")
    for line in document.sites:
        if line.error:
            table.add_row("?", "", "", "", escape(line.error), escape(line.path))
        else:
            table.add_row(line.name, line.mode, str(line.slots), str(line.issued), line.id, escape(line.path))
    console.print(table)


def print_slots(document: SlotList) -> None:
    """The slots of a site."""
    table = _table("slot", "name", "zone", "for machine", "address", "seed")
    for slot in document.slots:
        machine = ", ".join(text for text in (slot.mac, slot.serial) if text) or "any"
        seeds = "\n".join(f"{issue.issued:%Y-%m-%d %H:%M} {issue.written_to}" for issue in slot.issues) or "free"
        row = (str(slot.number), slot.name, slot.zone, machine, slot.address or "DHCP", seeds)
        table.add_row(*map(escape, row))
    Console().print(table)


def print_status(document: SiteStatus) -> None:
    """The nodes of a site, then their volumes and domains as the first node with an answer sees them."""
    console = Console()
    table = _table("node", "slot", "address", "phase", "state", "reason", "since")
    for node in document.nodes:
        table.add_row(*map(escape, _node_row(node)))
    for name in document.missing:
        table.add_row(escape(name), "", "", "not found", "", "no machine of this site answers for this slot", "")
    for said in document.announced:
        reason = f"by mDNS, not proved: {said.reason or 'it does not wait'}"
        table.add_row(*map(escape, (said.name, str(said.slot), said.addresses[0], said.phase, "", reason, "")))
    console.print(table)
    seen = next((node.status for node in document.nodes if node.status and node.status.volumes), None)
    if seen is None:
        return
    volumes = _table("volume", "type", "status", "bricks online")
    for volume in seen.volumes:
        online = sum(brick.online for brick in volume.bricks)
        volumes.add_row(volume.name, volume.type, volume.status, f"{online} of {len(volume.bricks)}")
    console.print(volumes)
    domains = _table("domain", "registrar", "node", "state")
    for node in document.nodes:
        for domain in node.status.domains if node.status else ():
            domains.add_row(domain.name, domain.registrar, node.name or node.address, domain.state)
    console.print(domains)


def _node_row(node: NodeLine) -> tuple[str, ...]:
    slot = "" if node.slot is None else str(node.slot)
    if node.status is None:
        return (node.name or "?", slot, node.address, "unknown", "", node.stray or node.error, "")
    status = node.status
    reason = f"not this slot's node: {node.stray}; it says: {status.reason}" if node.stray else status.reason
    return (node.name or "?", slot, node.address, status.phase, status.state, reason, _ago(status.since))


def _ago(since: datetime) -> str:
    seconds = max(0, int((datetime.now(UTC) - since.astimezone(UTC)).total_seconds()))
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
