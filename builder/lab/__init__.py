"""The room of lab: nested machines through libvirt."""
