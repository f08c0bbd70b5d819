"""Talks to a site's nodes: proves who they are by mutual TLS, learns their SSH host keys, then asks over ssh."""

from __future__ import annotations

import http.client
import re
import shlex
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from builder.profile.check_access import key_fault
from builder.site.folder import Site, changing
from firstboot.cluster.trust import SlotRole, role_of
from firstboot.errors import BadInputError, RefusedError, TrivetError
from firstboot.files import write_atomic
from firstboot.paths import ADMISSION_PORT
from firstboot.run import Completed, run
from firstboot.status import NodeStatus

if TYPE_CHECKING:
    from builder.site.discovery import Hint

CONNECT_TIMEOUT_S = 10.0
STATUS_TIMEOUT_S = 180.0
MAX_ANSWER = 64 * 1024
MAX_STATUS = 1024 * 1024
MAX_KEYS = 16
WORKERS = 8

ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_%-]{0,252}")

HEAR_HINT = "check that the machine is on, has a seed of this site, and its console says no other reason"


@dataclass(frozen=True)
class NodeKeys:
    """A node that proved its slot, at an address, and its SSH host keys."""

    address: str
    role: SlotRole
    host_keys: tuple[str, ...]


@dataclass(frozen=True)
class NodeReport:
    """What came of asking one address; `status` is None when `error` says why. Slot, seed and node are proved."""

    address: str
    slot: int | None
    status: NodeStatus | None
    error: str = ""
    seed_id: str | None = None
    node_id: str | None = None


class _HostKeys(BaseModel):
    """The answer to GET /v1/ssh-host-keys, as far as it is used here."""

    keys: tuple[str, ...]


def fetch_host_keys(site: Site, address: str, *, port: int = ADMISSION_PORT) -> NodeKeys:
    """Prove that a node of the site is at the address, and write its SSH host keys to the site's known_hosts.

    Raises RefusedError when another site or no slot answers, TrivetError when nobody does.
    """
    keys = ask_host_keys(site, address, port=port)
    if _known_lines(site) != with_host_keys(_known_lines(site), address, keys.host_keys):
        with changing(site):
            lines = with_host_keys(_known_lines(site), address, keys.host_keys)
            write_atomic(site.known_hosts, "".join(f"{line}\n" for line in lines), mode=0o600)
    return keys


def ask_host_keys(site: Site, address: str, *, port: int = ADMISSION_PORT) -> NodeKeys:
    """As fetch_host_keys, without writing anything."""
    checked_address(address)
    try:
        with (
            socket.create_connection((address, port), timeout=CONNECT_TIMEOUT_S) as plain,
            _tls(site).wrap_socket(plain) as tls,
        ):
            role = _site_slot(site, address, tls)
            raw = _get(tls, address, "/v1/ssh-host-keys")
    except ssl.SSLCertVerificationError as error:
        raise RefusedError(
            f"{address} is not a node of site {site.name}: its certificate is not of this site's root "
            f"({error.verify_message})",
            hint="is the address right? otherwise something else answers there",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise TrivetError(f"node {address} does not answer on port {port}: {error}", hint=HEAR_HINT) from error
    try:
        answer = _HostKeys.model_validate_json(raw)
    except ValidationError as error:
        raise TrivetError(f"node {address} gave host keys that can't be read", hint=HEAR_HINT) from error
    keys = tuple(" ".join(key.split()[:2]) for key in answer.keys[:MAX_KEYS] if key_fault(key) is None)
    if not keys:
        raise TrivetError(f"node {address} has no SSH host key yet", hint="its sshd has not started; try again")
    return NodeKeys(address, role, keys)


def with_host_keys(lines: Sequence[str], address: str, keys: Sequence[str]) -> list[str]:
    """The lines of known_hosts, sorted, after the keys of an address were replaced."""
    others = [line for line in lines if line.partition(" ")[0] != address]
    return sorted([*others, *(f"{address} {key}" for key in keys)])


def ssh_argv(site: Site, address: str, command: Sequence[str]) -> list[str]:
    """The command line that runs `command` on a node as root; an empty one opens a login.

    Only host keys that `fetch_host_keys` wrote are trusted.
    """
    checked_address(address)
    argv = ["ssh", "-F", "none"]
    options = [
        f"IdentityFile={_ssh_path(site.admin_key)}",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "PasswordAuthentication=no",
        "KbdInteractiveAuthentication=no",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={_ssh_path(site.known_hosts)}",
        "GlobalKnownHostsFile=none",
        "UpdateHostKeys=no",
        "CheckHostIP=no",
        "ConnectTimeout=20",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
        "LogLevel=ERROR",
    ]
    if command:
        options.append("BatchMode=yes")
    for option in options:
        argv += ["-o", option]
    argv += ["--", f"root@{address}"]
    return [*argv, shlex.join(command)] if command else argv


def ask_status(site: Site, address: str) -> NodeReport:
    """One node's own status; never raises TrivetError, the report says why there is none."""
    try:
        role = fetch_host_keys(site, address).role
    except TrivetError as error:
        return NodeReport(address, None, None, error.message)
    proved = NodeReport(address, role.slot, None, seed_id=role.seed_id, node_id=role.node_id)
    try:
        done = run(
            ssh_argv(site, address, ["trivet-node", "status", "--json"]), timeout_s=STATUS_TIMEOUT_S, check=False
        )
        return replace(proved, status=read_status(done, address))
    except TrivetError as error:
        return replace(proved, error=error.message)


def ask_all(site: Site, addresses: Sequence[str]) -> list[NodeReport]:
    """The reports of several nodes, asked side by side, in the order of the addresses."""
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        return list(pool.map(lambda address: ask_status(site, address), addresses))


def ask_site(site: Site, addresses: Sequence[str]) -> list[NodeReport]:
    """The same of those addresses, and then of those at which the nodes there see others that did not answer."""
    reports = ask_all(site, addresses)
    heard, asked = {report.node_id for report in reports}, set(addresses)
    statuses = [report.status for report in reports if report.status is not None]
    told = [
        peer.address
        for status in statuses
        for peer in status.peers
        if peer.address is not None and peer.address not in asked and peer.node_id not in heard
    ]
    return reports + ask_all(site, list(dict.fromkeys(told))[: len(site.plan.slots)])


def read_status(done: Completed, address: str) -> NodeStatus:
    """A node's status out of what ssh brought; a node that waits exits non-zero and still says why."""
    if len(done.stdout) > MAX_STATUS:
        raise TrivetError(f"node {address} gave a status larger than {MAX_STATUS} bytes")
    try:
        return NodeStatus.model_validate_json(done.stdout)
    except ValidationError:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise TrivetError(f"node {address} gave no status: {said[:200]}") from None


def known_addresses(site: Site, *, browse_s: float) -> list[str]:
    """Where the site's nodes may be: the plan's addresses; for slots without one, what is heard by mDNS."""
    wanted = frozenset(slot.number for slot in site.plan.slots if slot.address is None)
    return addresses_of(site, look_for(site, wanted, browse_s=browse_s))


def look_for(site: Site, slots: frozenset[int], *, browse_s: float) -> tuple[Hint, ...]:
    """What is heard by mDNS of these slots."""
    from builder.site.discovery import browse

    if not slots or browse_s <= 0:
        return ()
    return tuple(hint for hint in browse(site.id, slots, timeout_s=browse_s) if hint.slot in slots)


def addresses_of(site: Site, hints: Sequence[Hint]) -> list[str]:
    """The plan's addresses, then the best of each hint, by slot."""
    found = [str(slot.address.ip) for slot in site.plan.slots if slot.address is not None]
    heard = [hint.addresses[0] for hint in sorted(hints, key=lambda hint: hint.slot)]
    return list(dict.fromkeys(found + heard))


def checked_address(address: str) -> str:
    """The address if it is one (name, IPv4, IPv6 with scope); raises BadInputError."""
    if not ADDRESS.fullmatch(address):
        raise BadInputError(f"{address[:60]!r} is not an address", hint="give a host name or an IP address")
    return address


def _known_lines(site: Site) -> list[str]:
    return site.known_hosts.read_text(encoding="utf-8").splitlines() if site.known_hosts.exists() else []


def _tls(site: Site) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # certificates name slots, not hosts: see _site_slot
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cafile=site.root_certificate)
    context.load_cert_chain(site.operator_certificate, site.operator_key)
    return context


def _site_slot(site: Site, address: str, tls: ssl.SSLSocket) -> SlotRole:
    certificate = tls.getpeercert(binary_form=True)
    assert certificate is not None, "TLS with CERT_REQUIRED has a peer certificate"
    role = role_of(certificate)
    if not isinstance(role, SlotRole) or role.site_id != site.id:
        raise RefusedError(f"{address} shows a certificate that is no slot's of site {site.name}", hint=HEAR_HINT)
    return role


def _get(tls: ssl.SSLSocket, host: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(host.partition("%")[0], ADMISSION_PORT, timeout=CONNECT_TIMEOUT_S)
    connection.sock = tls
    connection.request("GET", path, headers={"Accept": "application/json", "Connection": "close"})
    response = connection.getresponse()
    raw = response.read(MAX_ANSWER + 1)
    if response.status != http.HTTPStatus.OK or len(raw) > MAX_ANSWER:
        raise TrivetError(f"node {host} refused {path}: HTTP status {response.status}", hint=HEAR_HINT)
    return raw


def _ssh_path(path: Path) -> str:
    """A path as ssh's options take it: percent signs are expanded, and lists are split at spaces."""
    return '"' + str(path.resolve()).replace("%", "%%") + '"'
