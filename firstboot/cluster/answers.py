"""What the admission service answers, and to whom: the node's HTTP interface, version 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from firstboot import paths
from firstboot.cluster.claims import Ballot
from firstboot.cluster.events import Granted, Held
from firstboot.cluster.server import Answer, Request
from firstboot.cluster.trust import OperatorRole, SlotRole
from firstboot.cluster.views import View
from firstboot.status import NodeStatus

OF_REMOVED = ("/v1/view", "/v1/members", "/v1/claim", "/v1/admit", "/v1/enrol")
"""What a removed node may still ask: by these it learns that it is one."""


class Answers:
    """Routes requests. What it tells is public within the site, but for what `enrol` hands on to members."""

    def __init__(
        self,
        ballot: Ballot,
        *,
        view: Callable[[str | None], View],
        status: Callable[[], NodeStatus],
        met: Callable[[int, str], None],
        enrol: Callable[[SlotRole], Answer],
        claimed: Callable[[], None] = lambda: None,
        members: Callable[[Request], Answer | None] = lambda _: None,
        removed: Callable[[str], bool] = lambda _: False,
        ssh_folder: Path = paths.SSH_HOST_KEYS,
    ) -> None:
        self._ballot = ballot
        self._view = view
        self._status = status
        self._met = met
        self._enrol = enrol
        self._claimed = claimed
        self._members = members
        self._removed = removed
        self._ssh_folder = ssh_folder

    def __call__(self, request: Request) -> Answer:
        """Answer; who holds a slot's certificate has just proved where it can be reached, which `met` is told."""
        if isinstance(request.role, SlotRole):
            self._met(request.role.slot, request.address)
        asked_by = None if isinstance(request.role, OperatorRole) else request.role.node_id
        if asked_by is not None and self._removed(asked_by) and request.path not in OF_REMOVED:
            return Answer(403, {"error": "this node was removed from the cluster"})
        match request.method, request.path:
            case "GET", "/v1/view":
                return Answer(200, self._view(asked_by).model_dump(mode="json"))
            case "GET", "/v1/status":
                return Answer(200, self._status().model_dump(mode="json"))
            case "GET", "/v1/ssh-host-keys":
                return Answer(200, {"keys": ssh_host_keys(self._ssh_folder)})
            case "POST", "/v1/claim" if isinstance(request.role, SlotRole):
                return self._claim(request.role)
            case "POST", "/v1/enrol" if isinstance(request.role, SlotRole):
                return self._enrol(request.role)
            case "POST", "/v1/claim" | "/v1/enrol":
                return Answer(403, {"error": "only the holder of a slot's certificate can do that"})
        nothing = Answer(404, {"error": f"no {request.method} {request.path[:100]} here"})
        return self._members(request) or nothing

    def _claim(self, role: SlotRole) -> Answer:
        answer = self._ballot.claim(role.slot, role.slot, role.node_id)
        if isinstance(answer, Granted):
            self._claimed()
            return Answer(200, {"slot": role.slot, "node_id": role.node_id})
        if isinstance(answer, Held):
            error = "the slot is held by another node"
            return Answer(409, {"error": error, "incumbent": answer.incumbent, "why": answer.why})
        return Answer(404, {"error": f"the site has no slot {role.slot}"})


def ssh_host_keys(folder: Path) -> list[str]:
    """The SSH host's public keys, one line each."""
    lines = []
    for path in sorted(folder.glob("ssh_host_*_key.pub")):
        text = path.read_text(encoding="ascii", errors="replace").strip()
        if text and len(text) < 4096:
            lines.append(text)
    return lines
