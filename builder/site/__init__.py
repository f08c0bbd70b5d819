"""The room of site: site root, slots, seeds and what they look like from the workstation."""
