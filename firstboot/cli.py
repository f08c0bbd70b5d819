"""The verbs of `trivet-node`. Light to import: status is asked often, and imports cost seconds on slow machines."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from firstboot import paths, slotcli
from firstboot.errors import BadInputError, Exit, MissingError, RefusedError

EXAMPLES = """examples:
  trivet-node status            what this node is doing, and why it waits
  trivet-node status --json     the same for programs (docs/formats.md, trivet-status)
  trivet-node doctor            what is wrong with a node that waits or misbehaves, and what to do next
  trivet-node form --without 3  form the cluster although the machine of slot 3 does not come
  trivet-node slot list         who is in the formed cluster; slot -h: how to change that
  trivet-node remove 3          end the membership of a machine that is lost or given away
  trivet-node run --seed FILE   run the agent with a seed from a file instead of a medium
"""


def execute(arguments: Sequence[str]) -> Exit:
    """Run a verb; raises TrivetError for the caller to print."""
    options = _parser().parse_args(arguments)
    verbs = {
        "status": _status,
        "doctor": _doctor,
        "form": _form,
        "slot": slotcli.slot,
        "remove": slotcli.remove,
        "renew": slotcli.renew,
        "run": _run,
        "version": _version,
        "phases": _phases,
    }
    return verbs[options.verb](options)


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="trivet-node", description="The node side of Trivet.", epilog=EXAMPLES, formatter_class=form
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    status = verbs.add_parser(
        "status",
        help="phase, reason for waiting, peers, volumes, domains",
        description="Exit code 0: formed; 5: not yet, the reason is named; 1: a phase failed; 6: no agent has run.",
        epilog="example: trivet-node status --json",
        formatter_class=form,
    )
    status.add_argument("--json", action="store_true", help="print the status document")
    doctor = verbs.add_parser(
        "doctor",
        help="look at everything that a node needs, and say what to do next",
        description="Changes nothing; works beside an agent, stuck or dead. Exit code 0: nothing failed (warnings "
        "count as that); 1: something failed; 6: not run as root.",
        epilog="example: trivet-node doctor --json",
        formatter_class=form,
    )
    doctor.add_argument("--json", action="store_true", help="print the report as a document (trivet-doctor)")
    forming = verbs.add_parser(
        "form",
        help="go on without machines that do not come",
        description="Tells the site's other machines to form the cluster without the machines of these slots. Says "
        "first what redundancy will be missing, and asks for the slot's name. The slots that are left must be more "
        "than half of all, and none of those left out may have been heard of; a machine that comes later is "
        "taken in, and the volumes are completed. Exit code 4: it is not safe, the reason is named.",
        epilog="examples:\n  trivet-node form --without 3\n  trivet-node form --without node3 --yes --json",
        formatter_class=form,
    )
    forming.add_argument(
        "--without", action="append", required=True, metavar="SLOT", help="number or name; may be given again"
    )
    forming.add_argument("--yes", action="store_true", help="do not ask")
    forming.add_argument("--json", action="store_true", help="print the report as a document (trivet-without)")
    slotcli.add_parsers(verbs)
    run = verbs.add_parser(
        "run",
        help="run the agent (what trivet-firstboot.service does)",
        epilog="example: trivet-node run --seed /media/seed.json",
        formatter_class=form,
    )
    run.add_argument(
        "--seed", type=Path, metavar="FILE", help="take the seed from this file; media are not looked at"
    )
    run.add_argument("--debug", action="store_true", help="log every command and request")
    for name, text in (("version", "print the version of the agent and image"), ("phases", "list the phases")):
        verb = verbs.add_parser(name, help=text, epilog=f"example: trivet-node {name} --json", formatter_class=form)
        verb.add_argument("--json", action="store_true", help="print a JSON document")
    return parser


def _status(options: argparse.Namespace) -> Exit:
    from firstboot import statustable

    try:
        text = paths.STATUS.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingError(
            "no agent has run on this machine since it was started",
            hint="start it: systemctl start trivet-firstboot",
        ) from None
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if not isinstance(status, dict) or str(status.get("version", "")).partition(".")[0] != "1":
        raise BadInputError(
            f"{paths.STATUS} is not a status of format trivet-status 1", hint="restart trivet-firstboot"
        )
    print(text.rstrip() if options.json else statustable.render(status))
    if status.get("phase") == "formed":
        return Exit.OK
    return Exit.FAILED if status.get("state") == "failed" else Exit.WAITING


def _doctor(options: argparse.Namespace) -> Exit:
    if os.geteuid() != 0:
        raise MissingError("only root can read the seed and look at disks", hint="sudo trivet-node doctor")
    from firstboot.doctor import checks, table

    report = checks.examine()
    print(report.model_dump_json(indent=1) if options.json else table.render(report))
    return Exit.OK if report.ok else Exit.FAILED


def _form(options: argparse.Namespace) -> Exit:
    from firstboot.control import order

    def progress(text: str) -> None:
        print(f"trivet-node: {text}", file=sys.stderr, flush=True)

    arguments = {"slots": options.without}
    report = order(paths.CONTROL, "without-look", arguments, progress)
    names = ", ".join(report["names"])
    if not options.yes:
        print(f"The cluster would be formed without {names}:", file=sys.stderr)
        for volume in report["volumes"]:
            print(f"  volume {volume['name']} {volume['text']}", file=sys.stderr)
        if not report["volumes"]:
            print("  it has no volumes that would miss anything", file=sys.stderr)
        print(f"Type {names} to go on: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != names:
            raise RefusedError("not confirmed: nothing was changed")
    report = order(paths.CONTROL, "without", arguments, progress)
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print(
            f"asked for: the site forms without {names} once the others agree; trivet-node status shows how it goes"
        )
    return Exit.OK


def _run(options: argparse.Namespace) -> Exit:
    from firstboot import agent

    agent.log_to_journal(logging.DEBUG if options.debug else logging.INFO)
    agent.serve(options.seed)
    return Exit.OK


def _version(options: argparse.Namespace) -> Exit:
    from importlib.metadata import PackageNotFoundError, version

    from firstboot.clock import build_stamp
    from firstboot.reports import VersionReport

    stamp = build_stamp()
    try:
        trivet_version = str(stamp["version"]) if "version" in stamp else version("trivet")
    except PackageNotFoundError:
        trivet_version = "unknown"
    epoch, key = stamp.get("epoch"), stamp.get("key")
    report = VersionReport(
        trivet_version=trivet_version,
        epoch=epoch if isinstance(epoch, int) else None,
        key=key if isinstance(key, str) else None,
    )
    print(report.model_dump_json() if options.json else f"trivet-node {trivet_version}")
    return Exit.OK


def _phases(options: argparse.Namespace) -> Exit:
    from firstboot.reports import PhasesReport, PhaseTitle
    from firstboot.sequence import TITLES

    if options.json:
        phases = tuple(PhaseTitle(name=name, title=title) for name, title in TITLES.items())
        print(PhasesReport(phases=phases).model_dump_json())
    else:
        for name, title in TITLES.items():
            print(f"{name:10} {title}")
    return Exit.OK
