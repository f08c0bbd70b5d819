"""The examination as a whole: needs, hangs, bugs, exit codes, table, document."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from builder import reference
from firstboot import cli, paths
from firstboot.doctor import checks, table
from firstboot.doctor.checks import CHECKS, Check, examine, look
from firstboot.doctor.node import Node, lock_holder, read_node
from firstboot.doctor.report import DoctorReport, Finding, Judgement, Verdict, failed, passed, warned
from firstboot.errors import Exit, MissingError, TrivetError
from firstboot.plan import Mode
from firstboot.seed import encode
from tests.unit.firstboot.doctor.nodes import node
from tests.unit.firstboot.sites import site

ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SEED", "JOURNAL", "STATUS", "LOCK"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    return tmp_path


def well(_: Node) -> Iterator[Judgement]:
    yield passed("well")


def verdicts(report: DoctorReport) -> list[tuple[str, str]]:
    return [(finding.check, finding.verdict.value) for finding in report.findings]


def test_warnings_are_no_failure() -> None:
    report = examine([Check("one", well), Check("two", lambda _: [warned("so so", "look")])])
    assert report.ok
    assert verdicts(report) == [("one", "pass"), ("two", "warn")]


def test_a_check_that_hangs_fails_with_its_limit_and_blocks_nothing() -> None:
    release = threading.Event()

    def hang(_: Node) -> Iterator[Judgement]:
        yield passed("well so far")
        release.wait(60)
        yield passed("late")

    try:
        report = examine([Check("stuck", hang), Check("one", well)], limit_s=0.5)
    finally:
        release.set()
    assert verdicts(report) == [("stuck", "pass"), ("stuck", "fail"), ("one", "pass")]
    assert "0.5 s" in report.findings[1].evidence
    assert not report.ok


def test_what_a_check_found_before_it_failed_is_kept() -> None:
    def breaks(_: Node) -> Iterator[Judgement]:
        yield passed("well so far")
        raise TrivetError("no such device", hint="plug it in")

    first, second = look(Check("one", breaks), Node())
    assert first == passed("well so far")
    assert second == failed("no such device", "plug it in")


def test_a_bug_is_called_one() -> None:
    def bug(_: Node) -> Iterator[Judgement]:
        raise KeyError("oops")

    (judgement,) = look(Check("one", bug), Node())
    assert judgement.verdict is Verdict.FAIL
    assert "KeyError" in judgement.evidence
    assert "report it" in judgement.hint


def test_without_a_seed_its_checks_say_so() -> None:
    for check in CHECKS:
        if check.name not in ("agent", "seed", "clock", "services", "ports", "multicast"):
            (judgement,) = look(check, Node())
            assert (judgement.verdict, judgement.evidence) == (Verdict.NOT_APPLICABLE, "no seed"), check.name
        else:
            assert check.needs(Node()) == ""


def test_a_site_without_gluster_has_no_disks_to_look_at() -> None:
    without = node("formed").claimed_seed.plan.model_copy(update={"mode": Mode.VIRT})
    assert checks.gluster(node("formed", plan=without)) == "mode virt has no Gluster"
    assert checks.gluster(node("formed")) == ""


def test_it_names_the_node_of_the_seed() -> None:
    paths.SEED.write_bytes(encode(site()[1][1]))
    report = examine([Check("one", well)])
    assert (report.name, report.slot, report.site_name) == ("node2", 2, "demo")


def test_damaged_files_are_troubles_and_not_the_end() -> None:
    paths.SEED.write_text("{")
    paths.JOURNAL.write_text("[]")
    paths.STATUS.write_text('{"phase": 3}')
    found = read_node()
    assert (found.seed, found.status, found.agent_pid) == (None, None, None)
    assert [
        str(path) in trouble.message
        for path, trouble in zip((paths.SEED, paths.JOURNAL, paths.STATUS), found.troubles, strict=True)
    ] == [True, True, True]


def test_who_holds_the_agents_lock() -> None:
    locks = (
        "1: POSIX  ADVISORY  WRITE 11 00:19:42 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 12 00:19:421 0 EOF\n"
        "3: FLOCK  ADVISORY  WRITE 13 00:19:42 0 EOF\n"
        "3: -> FLOCK  ADVISORY  WRITE 14 00:19:42 0 EOF\n"
    )
    assert lock_holder(locks, "00:19", 42) == 13
    assert lock_holder(locks, "00:1a", 42) is None
    assert lock_holder("1: -> FLOCK  ADVISORY  WRITE 14 00:19:42 0 EOF\n", "00:19", 42) is None


def test_how_far_the_agent_came_is_of_this_run_or_ever() -> None:
    again = node("network", ever="volumes")
    assert again.entered("network")
    assert not again.finished("network")
    assert not again.entered("pool")
    assert again.ever_finished("pool")
    assert not again.ever_finished("domains")


REPORT = DoctorReport(
    taken=datetime(2026, 3, 4, tzinfo=UTC),
    duration_s=1.25,
    ok=False,
    name="node1",
    slot=1,
    site_name="demo",
    findings=(
        Finding(check="link", verdict=Verdict.PASS, evidence="all is well"),
        Finding(check="path MTU", about="node2", verdict=Verdict.FAIL, evidence="word " * 40, hint="do " * 60),
        Finding(check="names", verdict=Verdict.NOT_APPLICABLE, evidence="no seed"),
    ),
)


def test_the_table_has_the_next_step_under_what_failed() -> None:
    lines = table.render(REPORT).splitlines()
    assert lines[0] == "node  node1 (slot 1 of site demo)"
    assert max(map(len, lines)) <= table.WIDTH
    start = next(number for number, line in enumerate(lines) if line.startswith("FAIL    path MTU: node2"))
    following = next(number for number, line in enumerate(lines) if line.startswith("-       names"))
    assert any(line.strip().startswith("next: do do") for line in lines[start + 1 : following])
    assert lines[-1] == "1 failed, 0 warned, 1 passed, 1 not applicable, in 1.2 s"


@pytest.mark.parametrize(("ok", "code"), [(True, Exit.OK), (False, Exit.FAILED)])
def test_the_verb(ok: bool, code: Exit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(checks, "examine", lambda: REPORT.model_copy(update={"ok": ok}))
    assert cli.execute(["doctor", "--json"]) is code
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, reference.schemas()["trivet-doctor"])
    assert document["findings"][1]["verdict"] == "fail"
    assert cli.execute(["doctor"]) is code
    assert "FAIL    path MTU: node2" in capsys.readouterr().out


def test_only_root_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(MissingError, match="only root"):
        cli.execute(["doctor"])


def test_other_verbs_stay_light() -> None:
    code = (
        "import sys, firstboot.cli; print([m for m in sys.modules if m.startswith(('firstboot.doctor', 'pydantic'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
