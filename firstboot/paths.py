"""Where things are on a node. Everything that may change is below /var, which is the state partition."""

from __future__ import annotations

from pathlib import Path

STATE = Path("/var/lib/trivet")
SEED = STATE / "seed.json"
NODE_KEY = STATE / "node.key"
CLAIM = STATE / "claim.pem"
"""The claim certificate: the seed's slot vouches for this node's key."""
NODE_CERTIFICATE = STATE / "node.pem"
"""The cluster authority vouches for this node's key."""
AUTHORITY = STATE / "authority"
"""The cluster authority, on every member; a folder of mode 0700."""
AUTHORITY_ISSUER = AUTHORITY / "authority.pem"
"""Certificate and key of the authority that issues now, mode 0600."""
AUTHORITY_NEXT = AUTHORITY / "next.pem"
"""The authority that this node made to be the next one, until the members' document has it."""
TRUSTED = AUTHORITY / "trusted.pem"
"""Certificates of the authorities that are trusted, the newest first."""
COPY = STATE / "copy.json"
"""This state is a copy of another machine's, which runs; see firstboot.cluster.copies."""
JOURNAL = STATE / "journal.json"
CLAIMS = STATE / "claims.json"
REGISTER = STATE / "register.json"
"""The members' document, and what this node promised about its next epoch."""
PACKET_FILTER = STATE / "packetfilter.nft"
"""Loaded before the network is up, by trivet-packetfilter.service."""
BRICKS = STATE / "bricks"
DOMAINS = STATE / "domains"

RUN = Path("/run/trivet")
STATUS = RUN / "status.json"
LOCK = RUN / "agent.lock"
CONTROL = RUN / "control.sock"
"""Orders of operators to the running agent; mode 0600."""
MOTD = RUN / "motd"
CLOCK_AGREED = RUN / "clock-agreed"
"""There once this node's clock agreed with the members' since the machine was started."""
CHRONY_MEMBERS = RUN / "chrony"
"""chrony's files about the members; gone when the machine restarts: no clock is served that was not compared."""
ISSUE = Path("/run/issue.d/trivet.issue")
CONSOLE = Path("/dev/console")

HOSTS = Path("/etc/hosts")
HOSTNAME = Path("/etc/hostname")
SHADOW = Path("/etc/shadow")
ROOT_KEYS = Path("/etc/ssh/authorized_keys.d/root")
SSH_HOST_KEYS = Path("/etc/ssh")
MACHINE_ID = Path("/etc/machine-id")
GLUSTERD = Path("/var/lib/glusterd")
GLUSTERD_INFO = GLUSTERD / "glusterd.info"
GLUSTERD_ASIDE = GLUSTERD / "cut-off"
"""Definitions of volumes that glusterd can't start with; it reads those in `vols` alone."""
NETWORKD = Path("/etc/systemd/network")
CHRONY_SOURCES = Path("/etc/chrony/sources.d/trivet.sources")
PROXY = STATE / "proxy.env"
"""Environment lines (http_proxy and friends) of the plan's proxy: login shells and the agent's own unit read them."""

ADMISSION_PORT = 7463
"""TCP port of the mutual-TLS service, on every address of the node."""

GLUSTERD_PORT = 24007
BRICK_PORTS = range(50152, 52152)
"""TCP ports that glusterd gives to bricks, as glusterd.vol says. libvirt migrates guests over 49152 to 49215."""
GLUSTERD_OPTIONS = Path("/etc/glusterfs/glusterd.vol")
SECURE_ACCESS = Path("/var/lib/glusterd/secure-access")
"""glusterd and its clients look for this file when they start: with it they speak TLS."""

WRITTEN = (
    *(STATE, AUTHORITY, RUN, CHRONY_MEMBERS, NETWORKD),
    *(path.parent for path in (ISSUE, HOSTS, ROOT_KEYS, CHRONY_SOURCES, SECURE_ACCESS)),
    *(SECURE_ACCESS.parent / "peers", GLUSTERD_ASIDE),
)
"""The folders in which the agent writes files, bricks apart."""
TLS_FOLDERS = (Path("/etc/ssl"), Path("/usr/lib/ssl"))
"""Where Gluster looks for glusterfs.{pem,key,ca}: OpenSSL's folder at its build, the first in Debian 13, the other
in Debian 12."""

BUILD_STAMP = Path("/usr/lib/trivet/build.json")
"""Written by the image build: version and build time (epoch seconds), the floor of the node's clock."""


def brick_mount(volume: str, index: int) -> Path:
    """Where brick `index` (from 0, on this node) of a volume is mounted; its XFS carries the tag file."""
    return BRICKS / f"{volume}-{index}"


def brick_path(volume: str, index: int) -> Path:
    """The folder that Gluster gets; below the mount, so that an unmounted brick is never written to root."""
    return brick_mount(volume, index) / "brick"
