"""Wrong profiles and the exact text that people get: a pair of files each in tests/golden/profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.profile.load import load_profile
from builder.profile.problems import ProfileError

GOLDEN = Path(__file__).parents[2] / "golden" / "profile"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))


def test_there_are_cases_and_each_is_a_pair() -> None:
    assert CASES
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == CASES


@pytest.mark.parametrize("case", CASES)
def test_wrong_profile(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    with pytest.raises(ProfileError) as caught:
        load_profile(Path(f"{case}.yaml"))
    assert str(caught.value) + "\n" == (GOLDEN / f"{case}.txt").read_text()
