"""Is Gluster closed to strangers: this node's certificate, TLS on every glusterd, the packet filter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

from firstboot import paths
from firstboot.cluster.authority import RENEW_LEFT
from firstboot.context import Member
from firstboot.doctor.bounded import Raised, Result, Value, gather
from firstboot.doctor.node import RESTART_HINT, Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned
from firstboot.errors import TrivetError
from firstboot.gluster import closing, credentials
from firstboot.gluster.credentials import Material, common_name
from firstboot.gluster.handshake import Handshake, attempt
from firstboot.network import packetfilter

OVERDUE = timedelta(days=7)
"""The agent renews at its next look, a minute later at most; a node may have been off."""
WORKERS = 32
LIMIT_S = 45.0


def check_certificate(node: Node) -> Iterator[Judgement]:
    """The certificate as a member, from the phase enrol on."""
    if not (node.finished("enrol") or node.ever_finished("enrol")):
        yield skipped("phase enrol is not done yet")
        return
    yield judge_certificate(credentials.read(), node.journal.node_id or "", datetime.now(UTC))


def judge_certificate(material: Material, node_id: str, now: datetime) -> Judgement:
    """Whether it proves this node now, and for how long."""
    try:
        proof = credentials.verify(material, node_id, now)
    except TrivetError as error:
        return failed(error.message, error.hint)
    end = proof.certificate.not_valid_after_utc
    evidence = (
        f"belongs to this node's key, signed by {common_name(proof.authority)}, "
        f"valid until {end:%Y-%m-%d}, {(end - now).days} days left"
    )
    if end - now < RENEW_LEFT - OVERDUE:
        return warned(
            f"{evidence}; it should have been renewed", f"why not: journalctl -u trivet-firstboot; {RESTART_HINT}"
        )
    return passed(evidence)


def check_tls(node: Node) -> Iterator[Judgement]:
    """What Gluster's TLS needs here, and a handshake with each glusterd, from the phase pool on."""
    if not _is_due(node):
        yield skipped("phase pool has not begun yet")
        return
    yield judge_files()
    yield judge_ports()
    members = node.members
    here = Member(node.slot.number, "this node", node.journal.node_id or "", "127.0.0.1", "")
    goals = [here, *(members[slot.number] for slot in node.others if slot.number in members)]
    tasks = [partial(attempt, member.data_address) for member in goals]
    for member, result in zip(goals, gather(tasks, limit_s=LIMIT_S, workers=WORKERS), strict=True):
        yield judge_handshake(member, result)


def judge_files() -> Judgement:
    """Where Gluster looks for TLS and its files."""
    wrong = [
        str(link) for link, target in closing.links().items() if not (link.is_symlink() and link.readlink() == target)
    ]
    if not paths.SECURE_ACCESS.exists():
        return failed(f"{paths.SECURE_ACCESS} is not there: glusterd would obey anybody", RESTART_HINT, about="files")
    if wrong:
        return failed(f"not the links that they should be: {', '.join(wrong)}", RESTART_HINT, about="files")
    return passed(f"{paths.SECURE_ACCESS} and {len(closing.links())} links are in place", about="files")


def judge_ports() -> Judgement:
    """Whether bricks get ports that the packet filter guards."""
    about = "brick ports"
    try:
        ports = closing.read_port_range()
        closing.require_ports(ports)
    except TrivetError as error:
        return failed(error.message, error.hint, about=about)
    return passed(f"{ports[0]} to {ports[-1]}", about=about)


def judge_handshake(member: Member, result: Result[Handshake]) -> Judgement:
    """A glusterd that speaks TLS proves its node, and takes this one's certificate."""
    about = f"glusterd of {member.name} ({member.data_address})"
    if isinstance(result, Raised):
        return failed(f"this node's own certificate can't be used: {result.error}", RESTART_HINT, about=about)
    if not isinstance(result, Value):
        return failed(f"no answer within {LIMIT_S:g} s", "is it on, and on this network?", about=about)
    answer = result.value
    if answer.trouble:
        return failed(answer.trouble, "trivet-node doctor there", about=about)
    if member.node_id and answer.node_id != member.node_id:
        return failed(
            f"node {answer.node_id} answers there, not {member.node_id}",
            "addresses were swapped, which the agent notices, or that machine was wiped",
            about=about,
        )
    return passed(f"TLS, as node {answer.node_id}", about=about)


def check_filter(node: Node) -> Iterator[Judgement]:
    """The packet filter, from the phase pool on."""
    if not _is_due(node):
        yield skipped("phase pool has not begun yet")
        return
    listed = packetfilter.read()
    yield judge_filter(listed, [member.data_address for member in node.members.values()])
    if listed is not None:
        yield judge_strangers(packetfilter.refused(listed))


def judge_filter(listed: str | None, members: list[str]) -> Judgement:
    """What is loaded against what the members' addresses want."""
    wanted = packetfilter.ruleset(members)
    if listed is None:
        return failed(f"table {packetfilter.TABLE} is not loaded: strangers reach Gluster's ports", RESTART_HINT)
    if not packetfilter.is_same(wanted, listed):
        return failed(
            f"table {packetfilter.TABLE} is another than the one for {', '.join(sorted(members))}",
            f"what changes it? nft list table {packetfilter.TABLE}; {RESTART_HINT}",
        )
    if not packetfilter.is_stored(wanted):
        return failed(f"{paths.PACKET_FILTER} is another: the next boot would load that", RESTART_HINT)
    return passed(f"loaded, and stored for the next boot; reach Gluster: {', '.join(sorted(members))}")


def judge_strangers(refused: Mapping[str, int]) -> Judgement:
    """Who knocked at Gluster's ports and is no member."""
    if not refused:
        return passed("nobody else tried to reach Gluster within the hour", about="strangers")
    knocks = ", ".join(f"{address} ({packets} packets)" for address, packets in sorted(refused.items()))
    return warned(
        f"refused within the hour: {knocks}",
        "who is that? A member whose address changed is let in as soon as it answers there",
        about="strangers",
    )


def _is_due(node: Node) -> bool:
    return node.entered("pool") or node.ever_finished("pool")
