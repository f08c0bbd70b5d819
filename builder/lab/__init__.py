"""The lab: a site's nodes as nested virtual machines on an isolated bridge, through libvirt."""
