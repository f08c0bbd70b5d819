"""What a network does to frames, as rules on the switch's ports: loss, silence, no multicast; and counts of it."""

from __future__ import annotations

import json
import subprocess

from tests.netns.namespaces import LabError, Node, Switch

TABLE = "weather"
MDNS = "udp dport 5353"


def load(switch: Switch, text: str) -> None:
    """Take nftables rules in, on the switch."""
    argv = ["nsenter", f"--target={switch.process.pid}", "--net", "nft", "--file", "-"]
    done = subprocess.run(argv, input=text, text=True, capture_output=True)
    if done.returncode != 0:
        raise LabError(f"nft says: {done.stderr}\n{text}")


def rule(switch: Switch, name: str, match: str, verdict: str = "drop") -> None:
    """Every frame of which the match is true is counted under the name, and has that verdict."""
    chain = f"type filter hook prerouting priority 0;\n{match} counter name {name} {verdict}"
    load(switch, f"table bridge {TABLE} {{\ncounter {name} {{}}\nchain {name} {{\n{chain}\n}}\n}}\n")


def clear(switch: Switch) -> None:
    """Fine weather: all rules go."""
    load(switch, f"table bridge {TABLE} {{}}\ndelete table bridge {TABLE}\n")


def counted(switch: Switch, name: str) -> int:
    """How many frames a rule was true for."""
    argv = ["nsenter", f"--target={switch.process.pid}", "--net", "nft", "--json", "list", "counters"]
    listed = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)["nftables"]
    return sum(entry["counter"]["packets"] for entry in listed if entry.get("counter", {}).get("name") == name)


def lose(switch: Switch, percent: int) -> None:
    """Of all frames that many are lost, by chance: ARP, mDNS and TCP alike."""
    rule(switch, "lost", f"numgen random mod 100 < {percent}")


def forbid_multicast(switch: Switch) -> None:
    """No mDNS passes, as on a switch that snoops without a querier."""
    rule(switch, "deaf", MDNS)


def silence(switch: Switch, node: Node) -> None:
    """Nothing of this node gets through any more, while its link stays up: nobody is told."""
    rule(switch, f"cut{node.number}", f'iifname "port{node.number}"')
