"""Seeds of lab machines: one small disk a slot, issued from the lab's site."""

from __future__ import annotations

from pathlib import Path

from builder.lab import wiring
from builder.lab.state import LabFolder, LabState
from builder.lab.view import View
from builder.site.folder import Site, create_site, open_site
from builder.site.seeds import write_seed_disk
from builder.site.slots import issue_seed
from firstboot.errors import RefusedError, TrivetError
from firstboot.plan import Plan


def make_site(state: LabState, view: View) -> None:
    """The lab's site, made when its folder is missing; raises RefusedError when the one there is can't be used."""
    if not state.site_folder.exists():
        view.step(f"making the site in {state.site_folder}")
        state.site_folder.parent.mkdir(parents=True, exist_ok=True)
        create_site(state.site_folder, state.name, state.plan)
        return
    site = open_site(state.site_folder)
    if site.has_passphrase:
        raise RefusedError(
            f"the root key of site {site.name} in {site.path} has a passphrase, and a lab issues seeds by itself",
            hint="give the lab a site folder of its own: --site DIR",
        )
    if not same_plan(site.plan, state.plan):
        raise RefusedError(
            f"site {site.name} in {site.path} was made for another plan than {state.plan.name}",
            hint="give the lab a site folder of its own: --site DIR, or remove this one if nothing uses it",
        )


def same_plan(one: Plan, other: Plan) -> bool:
    """Whether two plans are the same but for who may log in: a site adds its own key."""
    return one.model_copy(update={"access": other.access}) == other


def plug_in(folder: LabFolder, state: LabState, view: View) -> None:
    """A seed disk for every node that has none."""
    for node in state.nodes:
        disk = folder.node(node.number).seed_disk
        if not disk.exists():
            view.step(f"{node.name}: seed of slot {node.number}")
            site = open_site(state.site_folder)
            cards = wiring.overrides(state.plan.network, node)
            ours = was_ours(site, node.number, disk)
            seed = issue_seed(site, node.number, written_to=str(disk), overrides=cards, again=ours)
            write_seed_disk(disk, seed)


def is_only_of(state: LabState, folder: LabFolder) -> bool:
    """Whether the site's every seed went to a machine of this lab: then nobody else needs its root key."""
    try:
        site = open_site(state.site_folder)
    except TrivetError:
        return False
    ours = {str(folder.node(node.number).seed_disk) for node in state.nodes}
    written = {issue.written_to for issue in site.record.issues}
    return written <= ours


def was_ours(site: Site, slot: int, disk: Path) -> bool:
    """Whether the slot's seeds all went to this very disk: then they are gone with it, and a new one does no harm."""
    written = {issue.written_to for issue in site.record.issues if issue.slot == slot}
    return written <= {str(disk)}
