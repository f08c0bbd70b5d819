"""The room of disks: inventory, selection, preparation."""
