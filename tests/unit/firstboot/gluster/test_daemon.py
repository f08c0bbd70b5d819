"""Starting glusterd: its store is mended first, and when it does not start its own words say why."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot import services
from firstboot.errors import TrivetError
from firstboot.gluster import daemon
from firstboot.gluster.daemon import Lasting
from firstboot.run import CommandError, Completed

STAMP = "[2026-11-24 12:22:39.123456 +0000]"
EARLIER = f"{STAMP} E [MSGID: 106010] [glusterd-utils.c:1:x] 0-management: an earlier trouble \n"
FAILURE = "".join(
    f"{STAMP} {level} [MSGID: 106201] [{where}] 0-management: {said} \n"
    for level, where, said in (
        ("I", "glusterd.c:1474:init", "Maximum allowed open file descriptors set to 65536"),
        ("E", "glusterd.c:1467:init", "Failed to set extended attribute [{Failed to set 'ulimit -n 65536'}]"),
        ("E", "glusterd-store.c:3051:glusterd_store_update_volinfo", "Failed to get next store iter"),
        ("E", "glusterd-store.c:3523:glusterd_store_retrieve_volumes", "Unable to restore volume: data"),
        ("E", "xlator.c:640:xlator_init", "Initialization of volume failed. review your volfile again."),
        ("E", "graph.c:424:glusterfs_graph_init", "initializing translator failed"),
    )
)


class Unit:
    """glusterd's unit; one that fails writes what glusterd writes."""

    def __init__(self, log: Path) -> None:
        self.log, self.active, self.failure, self.is_starting = log, False, "", False
        self.lacks_volfiles = False
        self.steps: list[str] = []

    def start(self, unit: str) -> None:
        self.steps.append(f"start {unit}")
        if self.failure:
            self.log.write_text(self.log.read_text() + self.failure)
            raise CommandError(Completed(("systemctl", "start", unit), 1, "", "", 0.1), "exited with 1")
        self.active = True

    def settle(self, unit: str) -> str:
        self.active, self.is_starting = self.active or self.is_starting, False
        return "active" if self.active else "inactive"

    def stop(self, unit: str) -> None:
        self.steps.append(f"stop {unit}")
        self.active = False


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Unit:
    made = Unit(tmp_path / "glusterd.log")
    made.log.write_text(EARLIER)
    monkeypatch.setattr(daemon, "LOG", made.log)
    monkeypatch.setattr(services, "is_active", lambda unit: made.active)
    monkeypatch.setattr(services, "settled_state", made.settle)
    monkeypatch.setattr(services, "start", made.start)
    monkeypatch.setattr(services, "stop", made.stop)
    monkeypatch.setattr(daemon.store, "lacks_volfiles", lambda: made.lacks_volfiles)
    monkeypatch.setattr(daemon, "run", lambda argv, **how: made.steps.append(" ".join(argv)))
    monkeypatch.setattr(daemon.store, "mend", lambda: made.steps.append("mend"))
    return made


def test_a_store_is_mended_before_glusterd_starts_and_not_while_it_runs(unit: Unit) -> None:
    daemon.start()
    daemon.start()
    assert unit.steps == ["mend", "start glusterd"]
    daemon.restart()
    assert unit.steps[2:] == ["stop glusterd", "mend", "start glusterd"]


def test_the_store_of_a_glusterd_that_is_just_starting_is_its_own(unit: Unit) -> None:
    unit.is_starting = True
    daemon.start()
    assert unit.active
    assert unit.steps == []


def test_volfiles_are_written_anew_only_when_some_are_lost(unit: Unit) -> None:
    unit.lacks_volfiles = True
    daemon.start()
    assert unit.steps == ["mend", "glusterd --xlator-option *.upgrade=on -N", "start glusterd"]


def test_a_start_that_fails_says_what_glusterd_says(unit: Unit) -> None:
    unit.failure = FAILURE
    with pytest.raises(TrivetError) as raised:
        daemon.start()
    assert raised.value.message == (
        "glusterd does not start: Failed to get next store iter; Unable to restore volume: data"
    )
    assert "glusterd.log" in raised.value.hint


def test_a_failure_without_a_word_is_the_commands(unit: Unit) -> None:
    unit.failure = f"{STAMP} I nothing of interest\n"
    with pytest.raises(CommandError):
        daemon.start()


def test_without_a_log_the_command_says_it(unit: Unit) -> None:
    assert daemon.reasons("") == []


def test_a_trouble_that_a_start_did_not_end_is_waited_for_longer_each_time() -> None:
    lasting = Lasting(30)
    assert [lasting.is_due("data", now) for now in (0, 29, 30, 31, 89, 90)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    lasting.over("data")
    assert not lasting.is_due("data", 1000)


def test_a_trouble_that_was_not_there_in_between_begins_anew() -> None:
    lasting = Lasting(10)
    assert lasting.due({"node2", "node3"}, 0) == []
    assert lasting.due({"node3"}, 5) == []
    assert lasting.due({"node2", "node3"}, 10) == ["node3"]


def test_a_trouble_that_is_over_begins_anew_whoever_saw_its_end() -> None:
    lasting = Lasting(10)
    assert lasting.due({"node2", "node3"}, 0) == []
    lasting.only({"node3", "node4"})
    assert lasting.due({"node2", "node3"}, 10) == ["node3"]
