"""What the admission service answers, and to whom: the node's HTTP interface, version 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firstboot import paths
from firstboot.cluster.claims import Ballot
from firstboot.cluster.events import Granted, Held, NotYours
from firstboot.cluster.server import Answer, Request
from firstboot.cluster.trust import SLOT_URI, SlotRole, key_id
from firstboot.cluster.views import View
from firstboot.errors import BadInputError
from firstboot.status import NodeStatus

NO_PROOF = "the signing request does not prove a node key for this slot"


class ClaimRequest(BaseModel):
    """A claim of the sender's own slot: the request is signed by the node key, which proves that it has it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    csr: str = Field(max_length=8192)


class Answers:
    """Routes requests. Everything it tells is public within the site; nothing secret ever is."""

    def __init__(
        self,
        ballot: Ballot,
        *,
        view: Callable[[], View],
        status: Callable[[], NodeStatus],
        met: Callable[[int, str], None],
        ssh_folder: Path = paths.SSH_HOST_KEYS,
    ) -> None:
        self._ballot = ballot
        self._view = view
        self._status = status
        self._met = met
        self._ssh_folder = ssh_folder

    def __call__(self, request: Request) -> Answer:
        """Answer; who holds a slot's certificate has just proved where it can be reached, which `met` is told."""
        if isinstance(request.role, SlotRole):
            self._met(request.role.slot, request.address)
        match request.method, request.path:
            case "GET", "/v1/view":
                return Answer(200, self._view().model_dump(mode="json"))
            case "GET", "/v1/status":
                return Answer(200, self._status().model_dump(mode="json"))
            case "GET", "/v1/ssh-host-keys":
                return Answer(200, {"keys": ssh_host_keys(self._ssh_folder)})
            case "POST", "/v1/claim":
                return self._claim(request)
        return Answer(404, {"error": f"no {request.method} {request.path[:100]} here"})

    def _claim(self, request: Request) -> Answer:
        role = request.role
        if not isinstance(role, SlotRole):
            return Answer(403, {"error": "only the holder of a slot's certificate can claim it"})
        try:
            claim = ClaimRequest.model_validate(request.body)
        except ValidationError:
            return Answer(400, {"error": "a claim has a field csr: a certificate signing request, PEM"})
        slot, node_id = claimed(claim.csr, role)
        answer = self._ballot.claim(role.slot, slot, node_id)
        if isinstance(answer, Granted):
            return Answer(200, {"slot": role.slot, "node_id": node_id})
        if isinstance(answer, Held):
            error = "the slot is held by another node"
            return Answer(409, {"error": error, "incumbent": answer.incumbent, "why": answer.why})
        if isinstance(answer, NotYours):
            raise BadInputError(NO_PROOF)
        return Answer(404, {"error": f"the site has no slot {role.slot}"})


def claimed(csr: str, role: SlotRole) -> tuple[int, str]:
    """The slot that is claimed with the sender's seed, and the node id whose key signed; raises BadInputError.

    Whether the sender may claim that slot, the core says.
    """
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        valid = request.is_signature_valid
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise BadInputError("the signing request can't be read") from error
    except Exception as error:  # unsupported algorithms raise their own kinds
        raise BadInputError("the signing request can't be verified") from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    uri = SLOT_URI.fullmatch(uris[0]) if len(uris) == 1 else None
    if not valid or uri is None or uri["site"] != role.site_id:
        raise BadInputError(NO_PROOF)
    if int(uri["slot"]) == role.slot and uri["seed"] != role.seed_id:
        raise BadInputError(NO_PROOF)
    return int(uri["slot"]), key_id(request.public_key())


def ssh_host_keys(folder: Path) -> list[str]:
    """The SSH host's public keys, one line each."""
    lines = []
    for path in sorted(folder.glob("ssh_host_*_key.pub")):
        text = path.read_text(encoding="ascii", errors="replace").strip()
        if text and len(text) < 4096:
            lines.append(text)
    return lines
