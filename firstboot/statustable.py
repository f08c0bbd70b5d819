"""The status as a table for people, from the JSON document alone: nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Document = dict[str, object]


def render(status: Document) -> str:
    """The lines that `trivet-node status` prints; unknown fields are ignored, missing ones shown as a dash."""
    name = _text(status, "name")
    lines = [
        f"node     {name} (slot {_text(status, 'slot')} of site {_text(status, 'site_name')})"
        if name != "-"
        else "node     unclaimed",
        f"phase    {_text(status, 'phase')} ({_text(status, 'state')}) since {_time(status, 'since')}",
        f"reason   {_text(status, 'reason')}",
    ]
    if _text(status, "hint") != "-":
        lines.append(f"next     {_text(status, 'hint')}")
    addresses = status.get("addresses")
    if isinstance(addresses, list) and addresses:
        lines.append(f"address  {' '.join(map(str, addresses))}")
    lines.append("")
    lines += columns(
        ["PHASE", "STATE", "TOOK"],
        ([_text(p, "name"), _text(p, "state"), _seconds(p)] for p in _items(status, "phases")),
    )
    lines += _section(
        ["NETWORK", "LINK", "ADDRESS", "CARDS"],
        ([*(_text(n, key) for key in ("name", "link", "address")), _cards(n)] for n in _items(status, "networks")),
    )
    unused = status.get("unused_cards")
    if isinstance(unused, list) and unused:
        lines.append(f"unused cards: {', '.join(map(str, unused))}")
    lines += _section(
        ["PEER", "SLOT", "ADDRESS", "CONNECTED"],
        (
            [_text(p, "name"), _text(p, "slot"), _text(p, "address"), _flag(p, "connected")]
            for p in _items(status, "peers")
        ),
    )
    lines += _section(["VOLUME", "TYPE", "STATUS", "BRICKS ONLINE"], (_volume(v) for v in _items(status, "volumes")))
    lines += _section(
        ["DOMAIN", "REGISTRAR", "VOLUME", "STATE"],
        ([_text(d, key) for key in ("name", "registrar", "volume", "state")] for d in _items(status, "domains")),
    )
    problems = status.get("problems")
    if isinstance(problems, list):
        lines += [f"problem: {problem}" for problem in problems]
    return "\n".join(lines).rstrip()


def _volume(volume: Document) -> list[str]:
    bricks = _items(volume, "bricks")
    online = sum(1 for brick in bricks if brick.get("online") is True)
    return [_text(volume, "name"), _text(volume, "type"), _text(volume, "status"), f"{online}/{len(bricks)}"]


def _cards(network: Document) -> str:
    """The network's cards, those without carrier marked, and what is between: bond and VLAN."""
    cards = [
        _text(card, "name") + ("" if card.get("carrier") is True else " (no carrier)")
        for card in _items(network, "cards")
    ]
    bond, vlan = _text(network, "bond"), _text(network, "vlan")
    over = f"{bond}: " if bond != "-" else ""
    return f"{over}{', '.join(cards) or 'none: isolated'}{f', VLAN {vlan}' if vlan != '-' else ''}"


def _section(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    filled = list(rows)
    return ["", *columns(head, filled)] if filled else []


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table: every column as wide as its widest cell."""
    table = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _items(document: Document, key: str) -> list[Document]:
    value = document.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(document: Document, key: str) -> str:
    value = document.get(key)
    return "-" if value in (None, "") else str(value)


def _flag(document: Document, key: str) -> str:
    return "yes" if document.get(key) is True else "no"


def _seconds(phase: Document) -> str:
    value = phase.get("duration_s")
    return f"{value:.1f} s" if isinstance(value, int | float) else "-"


def _time(document: Document, key: str) -> str:
    return _text(document, key).replace("T", " ").partition(".")[0].removesuffix("Z") + " UTC"
