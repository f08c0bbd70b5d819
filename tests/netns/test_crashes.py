"""A fixed sample of the crash matrix (`make crash-matrix`): the most delicate moments, each of which must be met."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.netns.crash.formation import form_cleanly, run_case
from tests.netns.crash.plan import Case, Result, cases

AT_ONCE = 2
MOMENTS = {
    "vote given, not answered": ("follower", "node", "durable write /var/lib/trivet/claims.json"),
    "decision written, not named": ("founder", "node", "unnamed write /var/lib/trivet/claims.json"),
    "making the file system": ("follower", "node", "40% into command mkfs.xfs"),
    "taking in a peer": ("founder", "node", "70% into command gluster --mode=script --xml peer probe"),
    "creating, all off": ("founder", "site", "40% into command gluster --mode=script --xml volume create"),
    "creating, a peer off": ("founder", "peer", "70% into command gluster --mode=script --xml volume create"),
    "starting the volume": ("founder", "node", "40% into command gluster --mode=script --xml volume start"),
    "domain defined, not started": ("founder", "agent", "after libvirt virConnect.storagePoolDefineXML"),
}


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Result]]]:
    """The sample, two formations at the same time; the points come from an undisturbed one."""
    keep = tmp_path_factory.mktemp("crashes")
    records, state = form_cleanly(keep / "clean")
    assert [finding for record in records.values() for finding in record.findings] == []
    every = cases(records)
    with ProcessPoolExecutor(AT_ONCE, mp_context=multiprocessing.get_context("fork")) as pool:
        yield {
            moment: pool.submit(run_case, case_of(moment, every), state, folder(keep, moment)) for moment in MOMENTS
        }


def case_of(moment: str, every: list[Case]) -> Case:
    """The last of the kills at such a moment: of the votes the one that counts."""
    role, kind, words = MOMENTS[moment]
    found = [case for case in every if (case.role, case.kind) == (role, kind) and str(case.point).startswith(words)]
    assert found, f"no point is {words}"
    return found[-1]


def folder(keep: Path, moment: str) -> Path:
    return keep / moment.replace(" ", "-").replace(",", "")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_is_overcome(moment: str, kills: dict[str, Future[Result]]) -> None:
    result = kills[moment].result()
    assert (result.outcome, result.why) == ("converged", ())
