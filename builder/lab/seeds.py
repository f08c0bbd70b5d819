"""Seeds of lab machines: one small disk a slot, issued from the lab's site."""

from __future__ import annotations

from builder.lab.state import LabFolder, LabState
from builder.lab.view import View
from builder.site import create_site, issue_seed, open_site, write_seed_disk


def make_site(state: LabState, view: View) -> None:
    """The site of the lab, made when its folder is missing."""
    if not (state.site_folder / "site.json").exists():
        view.step(f"making the site in {state.site_folder}")
        create_site(state.site_folder, state.name, state.plan)


def plug_in(folder: LabFolder, state: LabState, view: View) -> None:
    """A seed disk for every node that has none; another seed only for a slot whose last one was this lab's."""
    site = open_site(state.site_folder)
    for node in state.nodes:
        disk = folder.node(node.number).seed_disk
        if not disk.exists():
            view.step(f"{node.name}: seed of slot {node.number}")
            ours = any(use.slot == node.number and use.written_to == str(disk) for use in site.record.issues)
            write_seed_disk(disk, issue_seed(site, node.number, written_to=str(disk), again=ours))
