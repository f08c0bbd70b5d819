"""Certificates for namespaced machines: as a member has them, and such as no cluster ever hands out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from firstboot.cluster import authority as authorities
from firstboot.cluster.authority import Authority, split_pem
from firstboot.cluster.certificates import new_key, pem
from firstboot.cluster.trust import load_key
from firstboot.nodekey import NodeKey
from firstboot.paths import AUTHORITY_ISSUER, NODE_CERTIFICATE, NODE_KEY, TRUSTED
from tests.netns.namespaces import Node

SITE = "5" * 32
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""A certificate that was issued then has expired."""


@dataclass(frozen=True)
class Material:
    """What a machine has to show who it is, PEM: its key, its certificate, whom it trusts."""

    key: str
    certificate: str
    trusted: str

    @property
    def node_id(self) -> str:
        key = load_key(self.key)
        assert key is not None
        return NodeKey(key).node_id

    def install(self, node: Node) -> None:
        """Write it where enrolment writes it."""
        for path, text in ((NODE_KEY, self.key), (NODE_CERTIFICATE, self.certificate), (TRUSTED, self.trusted)):
            node.write(path, text.encode())
        node.run("chmod", "0600", NODE_KEY)


def issue(authority: Authority, *, when: datetime | None = None) -> Material:
    """A key of its own and a member's certificate for it, issued at that time."""
    key = NodeKey(new_key())
    certificate = authorities.issue_member(authority, SITE, key.key.public_key(), (), when or datetime.now(UTC))
    return Material(key.pem, pem(certificate), authority.trusted_pem)


def stolen_from(node: Node) -> Material:
    """What a member itself has."""
    return Material(*(_text(node, path) for path in (NODE_KEY, NODE_CERTIFICATE, TRUSTED)))


def authority_of(node: Node) -> Authority:
    """The authority that a member holds."""
    return authorities.read(_text(node, AUTHORITY_ISSUER), split_pem(_text(node, TRUSTED)))


def _text(node: Node, path: Path) -> str:
    text = node.read(path)
    assert text is not None, f"{node.name} has no {path}"
    return text
