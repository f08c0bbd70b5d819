"""Names: do the plan's DNS servers answer, and do the members' stable names lead to where they answered last?"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address

from firstboot.cluster import names
from firstboot.context import Member
from firstboot.doctor import dnsquery
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, skipped, warned

PORT = 53
TRIES = 2
ANSWER_S = 3.0


def check(node: Node) -> Iterator[Judgement]:
    """Servers, then names."""
    servers = node.claimed_seed.plan.network.dns
    if not servers:
        yield skipped("the plan names no DNS server", about="servers")
    for server in servers:
        yield judge_server(server, ask(server))
    if not node.ever_finished("admit"):
        yield skipped("phase admit has not been done yet", about="stable names")
        return
    yield judge_names(node.members, {m.host_name: resolve(m.host_name) for m in node.members.values()})


def ask(server: IPv4Address, *, port: int = PORT) -> int | None:
    """The response code to a question for the root's name servers; None without an answer."""
    ident = secrets.randbelow(0x10000)
    question = dnsquery.query(ident, "", dnsquery.NS, flags=dnsquery.RECURSION_DESIRED)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gate:
        gate.connect((str(server), port))
        for _ in range(TRIES):
            until = time.monotonic() + ANSWER_S
            try:
                gate.send(question)
                while (left := until - time.monotonic()) > 0:
                    gate.settimeout(left)
                    code = dnsquery.answer_code(gate.recv(4096), ident)
                    if code is not None:
                        return code
            except OSError:  # no route, port closed, time is up
                continue
    return None


def judge_server(server: IPv4Address, code: int | None) -> Judgement:
    """Whoever says anything is a DNS server; one that refuses the root may still know the names it is there for."""
    about = f"server {server}"
    if code is None:
        hint = "does it listen on UDP port 53, is there a route? correct network.dns in the profile otherwise"
        return failed(f"no answer to {TRIES} questions", hint, about=about)
    if code == 2:
        return warned(
            "answers with a server failure", "it can't reach the servers above it: look at its log", about=about
        )
    return passed("answers", about=about)


def resolve(name: str) -> frozenset[str]:
    """The IPv4 addresses of a name as every program on this machine gets them; empty when it has none."""
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(name, None, socket.AF_INET))
    except OSError:
        return frozenset()


def judge_names(members: Mapping[int, Member], resolved: Mapping[str, frozenset[str]]) -> Judgement:
    """Every stable name against the address at which mutual TLS last succeeded."""
    leads = {slot: ", ".join(sorted(resolved[m.host_name])) or "nowhere" for slot, m in members.items()}
    wrong = [
        f"{m.host_name} leads to {leads[slot]}, it answered at {m.data_address}"
        for slot, m in members.items()
        if resolved[m.host_name] != {m.data_address}
    ]
    if wrong:
        return failed(
            "; ".join(wrong),
            f"the agent keeps them, in the block {names.BEGIN.partition(':')[0]!r} of /etc/hosts: does it run?",
            about="stable names",
        )
    return passed(f"{len(members)} names lead to where the members answered last", about="stable names")
