"""The room of deliver: artefacts and seeds to real disks."""
