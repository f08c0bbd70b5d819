"""The state of a unit, told only once no job changes it."""

from __future__ import annotations

import pytest

from firstboot import services
from firstboot.errors import TrivetError
from firstboot.run import Completed


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What systemctl answers, one after the other; the last one again and again."""
    answers: list[str] = []

    def run(argv: list[str], **_: object) -> Completed:
        assert argv == ["systemctl", "show", "--property=ActiveState", "--value", "glusterd"]
        return Completed(tuple(argv), 0, answers.pop(0) if len(answers) > 1 else answers[0], "", 0.1)

    monkeypatch.setattr(services, "run", run)
    monkeypatch.setattr(services, "CHANGE_PAUSE_S", 0)
    return answers


@pytest.mark.parametrize("settled", ["active", "inactive", "failed"])
def test_a_change_is_waited_for(states: list[str], settled: str) -> None:
    states[:] = ["deactivating\n", "activating\n", f"{settled}\n"]
    assert services.settled_state("glusterd") == settled
    assert len(states) == 1


def test_a_change_without_an_end_is_told(states: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    states[:] = ["activating\n"]
    monkeypatch.setattr(services, "CHANGE_TIMEOUT_S", 0)
    with pytest.raises(TrivetError, match="glusterd is activating"):
        services.settled_state("glusterd")
