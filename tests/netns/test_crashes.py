"""A fixed sample of the crash matrix (`make crash-matrix`): the most delicate moments, each of which must be met."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
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
    "starting the volume": ("founder", "node", "40% into command gluster --mode=script --xml volume start"),
    "domain defined, not started": ("founder", "agent", "after libvirt virConnect.storagePoolDefineXML"),
}
CREATING = {
    "creating, all off": ("founder", "site", "40% into command gluster --mode=script --xml volume create"),
    "creating, a peer off": ("founder", "peer", "70% into command gluster --mode=script --xml volume create"),
}
"""For `make test-netns-full`: several nodes mend their glusterd's store at once, which takes minutes at times."""


@dataclass(frozen=True)
class Undisturbed:
    """A formation without a kill: every kill that it gives rise to, how it ended, and where logs are kept."""

    cases: list[Case]
    state: dict[str, str]
    keep: Path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    keep = tmp_path_factory.mktemp("crashes")
    records, state = form_cleanly(keep / "clean")
    assert [finding for record in records.values() for finding in record.findings] == []
    return Undisturbed(cases(records), state, keep)


@pytest.fixture(scope="module")
def kills(undisturbed: Undisturbed) -> Iterator[dict[str, Future[Result]]]:
    """The sample, two formations at the same time."""
    every = undisturbed.cases
    with ProcessPoolExecutor(AT_ONCE, mp_context=multiprocessing.get_context("fork")) as pool:
        yield {
            moment: pool.submit(run_case, case_of(kill, every), undisturbed.state, folder(undisturbed.keep, moment))
            for moment, kill in MOMENTS.items()
        }


def case_of(kill: tuple[str, str, str], every: list[Case]) -> Case:
    """The last of the kills at such a moment: of the votes the one that counts."""
    role, kind, words = kill
    found = [case for case in every if (case.role, case.kind) == (role, kind) and str(case.point).startswith(words)]
    assert found, f"no point is {words}"
    return found[-1]


def folder(keep: Path, moment: str) -> Path:
    return keep / moment.replace(" ", "-").replace(",", "")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_is_overcome(moment: str, kills: dict[str, Future[Result]]) -> None:
    result = kills[moment].result()
    assert (result.outcome, result.why) == ("converged", ())


@pytest.mark.full
@pytest.mark.parametrize("moment", CREATING)
def test_a_kill_while_a_volume_is_created_is_overcome(moment: str, undisturbed: Undisturbed) -> None:
    case = case_of(CREATING[moment], undisturbed.cases)
    result = run_case(case, undisturbed.state, folder(undisturbed.keep, moment))
    assert (result.outcome, result.why) == ("converged", ())
