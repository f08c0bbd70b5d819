"""The verbs of `trivet-node` that change who is in the cluster: slot, remove, renew. Light to import, as cli is."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from firstboot import paths
from firstboot.errors import Exit, RefusedError

Verbs = Any
"""What argparse's add_subparsers gives; it has no public type."""

SLOT = "number or name of the slot"
SLOT_EXAMPLES = """examples:
  trivet-node slot list
  trivet-node slot add 4 node4       a further slot; its seed: trivet site slot add SITE node4
  trivet-node slot release 1         a new machine may have slot 1; who held it is removed
  trivet-node slot close 1           no machine may have slot 1 any more
"""


def add_parsers(verbs: Verbs) -> None:
    """Add the verbs' parsers."""
    form = argparse.RawDescriptionHelpFormatter
    slot = verbs.add_parser(
        "slot",
        help="see and change the slots of the founded cluster",
        description="Works on any member; a change is made by more than half of them, or not at all. Exit code 4: "
        "it can't be made, the reason is named; 1: too few members answered, who did not is named.",
        epilog=SLOT_EXAMPLES,
        formatter_class=form,
    )
    actions = slot.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list",
        help="every slot, its member, and the nodes that were removed",
        description="Asks the members for the latest epoch. Exit code 5: too few answered, this is what this node "
        "knows.",
        epilog="example: trivet-node slot list --json",
        formatter_class=form,
    )
    add = actions.add_parser(
        "add",
        help="a further slot, open to a machine",
        epilog="example: trivet-node slot add 4 node4",
        formatter_class=form,
    )
    add.add_argument("number", type=int, metavar="NUMBER", help="the one after the last")
    add.add_argument("name", metavar="NAME", help="the host name of its machine")
    add.add_argument("--seed", metavar="ID", help="the one seed that may have it")
    add.add_argument("--zone", metavar="ZONE", help="where it stands, if the site has zones")
    add.add_argument("--address", metavar="ADDRESS/LENGTH", help="its fixed address, for the record")
    release = actions.add_parser(
        "release",
        help="open a slot to a new machine; who holds it is removed for good",
        description="The removed node never comes back; its disks are left as they are. Asks for the slot's name "
        "where a node holds it.",
        epilog="example: trivet-node slot release 1 --yes",
        formatter_class=form,
    )
    release.add_argument("slot", metavar="SLOT", help=SLOT)
    release.add_argument("--seed", metavar="ID", help="the one seed that may have it")
    release.add_argument("--yes", action="store_true", help="do not ask")
    close = actions.add_parser(
        "close",
        help="let no machine have an open slot",
        epilog="example: trivet-node slot close 1",
        formatter_class=form,
    )
    close.add_argument("slot", metavar="SLOT", help=SLOT)
    remove = verbs.add_parser(
        "remove",
        help="end a node's membership for good",
        description="On any other member. The members shut the node out, take its bricks out of the volumes and "
        "replace the cluster authority, whose key it had; its disks are left as they are. Exit code 4: that is not "
        "safe, the reason is named.",
        epilog="examples:\n  trivet-node remove 1\n  trivet-node remove node1 --yes --json",
        formatter_class=form,
    )
    remove.add_argument("slot", metavar="SLOT|NODE", help="number or name of its slot, or part of its node id")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    renew = verbs.add_parser(
        "renew",
        help="issue this node's certificate anew now; that happens by itself a year before its end",
        epilog="example: trivet-node renew --json",
        formatter_class=form,
    )
    for verb in (listing, add, release, close, remove, renew):
        verb.add_argument("--json", action="store_true", help="print a JSON document (docs/formats.md)")


def slot(options: argparse.Namespace) -> Exit:
    """`trivet-node slot ACTION`."""
    action = options.action
    if action == "list":
        return _show(_order("slots", {}), options)
    if action == "add":
        fields = {key: getattr(options, key) for key in ("number", "name", "seed", "zone", "address")}
        return _show(_order("slot-add", fields), options)
    if action == "close":
        return _show(_order("slot-close", {"slot": options.slot}), options)
    node_id = _confirm(options, f"Slot {options.slot} would be opened to a new machine")
    return _show(_order("slot-release", {"slot": options.slot, "seed": options.seed, "node_id": node_id}), options)


def remove(options: argparse.Namespace) -> Exit:
    """`trivet-node remove SLOT|NODE`."""
    node_id = _confirm(options, f"{options.slot} would be removed from the cluster")
    return _show(_order("remove", {"slot": options.slot, "node_id": node_id}), options)


def renew(options: argparse.Namespace) -> Exit:
    """`trivet-node renew`."""
    done = _order("renew", {})
    if options.json:
        print(json.dumps(done, indent=1))
    else:
        print(f"certificate {done['serial']} of authority {done['authority'][:12]}, until {done['not_after'][:10]}")
    return Exit.OK


def _order(verb: str, arguments: dict[str, object]) -> dict[str, Any]:
    from firstboot.control import order

    try:
        return order(paths.CONTROL, verb, arguments, _progress)
    except KeyboardInterrupt:
        _progress("not waited for: what was begun may still be made; look: trivet-node slot list")
        raise


def _progress(text: str) -> None:
    print(f"trivet-node: {text}", file=sys.stderr, flush=True)


def _confirm(options: argparse.Namespace, what: str) -> str | None:
    """Have the operator type the slot's name, unless nobody holds it or --yes was given.

    The node that was shown, empty for nobody; None with --yes: whoever it is.
    """
    if options.yes:
        return None
    looked = _order("vacate-look", {"slot": options.slot})
    if looked["node_id"] is None:
        return ""
    name, state = looked["name"], "answers: it is alive" if looked["answers"] else "does not answer"
    print(f"{what}. Its node {looked['node_id'][:12]} ({name}) {state}; it is removed for good:", file=sys.stderr)
    for volume in looked["volumes"]:
        print(f"  {volume['text']}", file=sys.stderr)
    print(f"  {looked['members'] - 1} of {looked['members']} members are left", file=sys.stderr)
    print(f"Type {name} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != name:
        raise RefusedError("not confirmed: nothing was changed", hint="--yes goes on without asking")
    return str(looked["node_id"])


def _show(report: dict[str, Any], options: argparse.Namespace) -> Exit:
    from firstboot.statustable import columns

    if options.json:
        print(json.dumps(report, indent=1))
    else:
        rows = [
            [str(s["slot"]), s["name"], s["state"], _dash(s["node_id"])[:12], _dash(s["address"]), _answers(s)]
            for s in report["slots"]
        ]
        print(f"epoch {report['epoch']} of cluster {report['cluster_id'][:12]}")
        print("\n".join(columns(["SLOT", "NAME", "STATE", "NODE", "ADDRESS", "ANSWERS"], rows)))
        for gone in report["removed"]:
            print(f"removed: node {gone['node_id'][:12]} of slot {gone['slot']}, in epoch {gone['epoch']}")
        if report["rotating"]:
            print("the cluster authority is being replaced: trivet-node status shows how it goes")
    if not report["confirmed"]:
        _progress(f"this is what this node knows; there may be a later epoch: {report['trouble']}")
        return Exit.WAITING
    return Exit.OK


def _dash(value: str | None) -> str:
    return value or "-"


def _answers(slot: dict[str, Any]) -> str:
    return "-" if slot["answers"] is None else "yes" if slot["answers"] else "no"
