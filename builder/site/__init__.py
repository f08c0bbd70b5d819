"""Sites on the workstation: their folder, root, slots, seeds, and their nodes as seen from here."""

from builder.site.folder import Site, create_site, open_site
from builder.site.nodes import ask_status, fetch_host_keys, ssh_argv
from builder.site.seeds import write_seed_disk, write_seed_file, write_seed_partition
from builder.site.slots import issue_seed, slot_uses

__all__ = [
    "Site",
    "ask_status",
    "create_site",
    "fetch_host_keys",
    "issue_seed",
    "open_site",
    "slot_uses",
    "ssh_argv",
    "write_seed_disk",
    "write_seed_file",
    "write_seed_partition",
]
