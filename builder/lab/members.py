"""The lab's nodes seen from outside: their addresses, and what each says over ssh with the site's admin key."""

from __future__ import annotations

from collections.abc import Sequence

from builder.lab import dhcp, report
from builder.lab.hypervisor import Power, connected, reachable
from builder.lab.machine import guest_name
from builder.lab.serial import Progress, SerialLog
from builder.lab.state import LabFolder, LabState, NodeRecord
from builder.site.folder import open_site
from builder.site.nodes import NodeReport, ask_all, fetch_host_keys, ssh_argv
from firstboot.errors import MissingError
from firstboot.status import NodeStatus


def addresses(folder: LabFolder, state: LabState) -> dict[str, str]:
    """Known addresses by slot name."""
    if not state.home.serves_dhcp:
        return {node.name: node.address for node in state.nodes}
    known = dhcp.leases(folder)
    return {node.name: str(known[node.mac]) for node in state.nodes if node.mac in known}


def collect(folder: LabFolder, state: LabState) -> tuple[report.LabStatus, dict[str, NodeStatus]]:
    """The lab's status now, and the answers behind it."""
    power = powers(state)
    known = {name: a for name, a in addresses(folder, state).items() if power[name] is Power.ON}
    progress = {node.name: _progress(folder, node) for node in state.nodes}
    speaking = {name: known[name] for name in known if progress[name].from_agent}
    reports = ask_all(open_site(state.site_folder), list(speaking.values()))
    replies = dict(zip(speaking, reports, strict=True))
    answers = {name: reply.status for name, reply in replies.items() if reply.status is not None}
    nodes = tuple(
        describe(node, power[node.name], progress[node.name], known.get(node.name), replies.get(node.name))
        for node in state.nodes
    )
    status = report.LabStatus(
        name=state.name,
        formed=len(nodes) == len(state.plan.slots) and all(n.reached and n.phase == "formed" for n in nodes),
        accelerator=state.accelerator,
        accelerator_reason=state.accelerator_reason,
        nodes=nodes,
        peers=report.merge_peers(answers),
        volumes=report.merge_volumes(answers.values()),
        domains=report.merge_domains([node.name for node in state.nodes], answers),
    )
    return status, answers


def login(folder: LabFolder, state: LabState, node: NodeRecord, command: Sequence[str]) -> list[str]:
    """The ssh command line into a node; raises MissingError while it has no address."""
    address = addresses(folder, state).get(node.name)
    if address is None:
        raise MissingError(
            f"{node.name} has no address yet", hint=f"see how far it is: trivet lab console {node.number}"
        )
    site = open_site(state.site_folder)
    fetch_host_keys(site, address)
    # As with ssh itself, one word is a line for the node's shell; several are a program and its arguments.
    words = ["bash", "-c", *command] if len(command) == 1 else list(command)
    return ssh_argv(site, address, words)


def describe(
    node: NodeRecord,
    power: Power,
    progress: Progress,
    address: str | None,
    report_of: NodeReport | None,
) -> report.LabNode:
    """One node's line: its own answer first, else what its console shows."""
    base = report.LabNode(
        number=node.number,
        name=node.name,
        power=power.value,
        phase=progress.stage,
        state=progress.state or "booting",
        reason=progress.text,
        address=address,
    )
    if power is not Power.ON:
        return base.model_copy(
            update={
                "phase": "off",
                "state": "off",
                "reason": "powered off",
                "hint": f"trivet lab start {node.number}",
            }
        )
    reply = report_of.status if report_of else None
    if reply is None:
        why = {"hint": f"not reached over ssh: {report_of.error}"} if report_of else {}
        return base.model_copy(update=why)
    return base.model_copy(
        update={
            "phase": reply.phase,
            "state": reply.state.value,
            "reason": reply.reason,
            "hint": reply.hint,
            "since": reply.since,
            "node_id": reply.node_id,
            "reached": True,
            "problems": reply.problems,
        }
    )


def powers(state: LabState) -> dict[str, Power]:
    """Whether each machine runs; `missing` when no daemon answers."""
    if not reachable(state.libvirt_uri):
        return {node.name: Power.MISSING for node in state.nodes}
    with connected(state.libvirt_uri) as guests:
        return {node.name: guests.power(guest_name(state.name, node.name)) for node in state.nodes}


def _progress(folder: LabFolder, node: NodeRecord) -> Progress:
    serial = SerialLog(folder.node(node.number).serial_log)
    serial.read()
    return serial.progress
