"""The part of docs/ that is made from the code: a JSON Schema of every format, in docs/schemas."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from builder.image.publish import Manifest
from builder.image.report import BuildReport
from builder.lab.report import LabList, LabStatus
from builder.lab.state import LabState
from builder.lab.times import LabTimes
from builder.profile.schema import DIALECT, CheckReport, profile_schema
from builder.site.folder import SiteRecord
from builder.site.reports import SiteList, SiteStatus, SlotList
from firstboot.cluster.claims import ClaimsDocument
from firstboot.cluster.council import MembersDocument, RegisterDocument
from firstboot.cluster.enrolment import Enrolment, Renewal
from firstboot.cluster.questions import QuestionDocument, ReactionDocument
from firstboot.cluster.slotreport import SlotsReport, VacateReport
from firstboot.cluster.twins import CopyDocument
from firstboot.cluster.views import View
from firstboot.cluster.without import WithoutReport
from firstboot.control import Order
from firstboot.disks.records import DiskRecords
from firstboot.disks.tags import TagFile
from firstboot.doctor.report import DoctorReport
from firstboot.files import write_atomic
from firstboot.model import Model
from firstboot.plan import Plan
from firstboot.reports import PhasesReport, VersionReport
from firstboot.seed import Seed
from firstboot.state import JournalDocument
from firstboot.status import NodeStatus

FOLDER = Path(__file__).parent.parent / "docs" / "schemas"

DOCUMENTS: tuple[type[Model], ...] = (
    TagFile,
    BuildReport,
    CheckReport,
    ClaimsDocument,
    CopyDocument,
    DiskRecords,
    DoctorReport,
    Enrolment,
    JournalDocument,
    LabList,
    LabState,
    LabStatus,
    LabTimes,
    Manifest,
    MembersDocument,
    NodeStatus,
    Order,
    PhasesReport,
    Plan,
    QuestionDocument,
    ReactionDocument,
    RegisterDocument,
    Renewal,
    Seed,
    SiteRecord,
    SiteList,
    SiteStatus,
    SlotList,
    SlotsReport,
    VacateReport,
    VersionReport,
    View,
    WithoutReport,
)


def schemas() -> dict[str, dict[str, object]]:
    """Every format's schema by the format's name."""
    found = {"trivet-profile": profile_schema()}
    for model in DOCUMENTS:
        name = model.model_fields["format"].default
        found[name] = {
            "$schema": DIALECT,
            "$id": f"urn:trivet:{name}:{str(model.model_fields['version'].default).partition('.')[0]}",
            **model.model_json_schema(mode="serialization"),
        }
    return found


def files() -> dict[str, str]:
    """The texts of docs/schemas by file name."""
    return {f"{name}.json": json.dumps(schema, indent=1) + "\n" for name, schema in sorted(schemas().items())}


def main() -> None:
    """Write docs/schemas anew: `python -m builder.reference`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        write_atomic(FOLDER / name, text)
    for stale in {path.name for path in FOLDER.glob("*.json")} - set(files()):
        (FOLDER / stale).unlink()
    sys.stdout.write(f"{len(files())} schemas in {FOLDER}\n")


if __name__ == "__main__":
    main()
