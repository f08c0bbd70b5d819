"""What keeps a node from going on besides votes: marks that two have, before there is a pool and after."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firstboot import paths
from firstboot.cluster import authority, likeness, watch
from firstboot.cluster.events import Identity
from firstboot.cluster.likeness import Facts
from firstboot.cluster.views import View
from firstboot.cluster.watch import Watch
from firstboot.context import Context, Member
from firstboot.plan import Mode
from firstboot.state import Journal
from tests.unit.firstboot.sites import issue, plan, site

ROOT, SEEDS = site(3)
NAMES = {1: "node1", 2: "node2", 3: "node3"}
UUIDS = {slot: f"{slot:08x}-1111-4222-8333-444444444444" for slot in NAMES}
ALIKE = "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0"


class Watched:
    """The node of slot 2 among three."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        seed = issue(ROOT, 2).model_copy(update={"plan": plan(3).model_copy(update={"mode": Mode.GLUSTER})})
        self.context = Context(report=self.done.append, seed=seed, address="192.0.2.2")
        self.context.members = {
            slot: Member(slot, name, f"{slot:032x}", f"192.0.2.{slot}", f"{name}.demo")
            for slot, name in NAMES.items()
        }
        self.journal = Journal(folder / "journal.json")
        self.own = Facts(glusterd=UUIDS[2], machine_id="2" * 32)
        self.others({slot: Facts(glusterd=UUIDS[slot], machine_id=str(slot) * 32) for slot in (1, 3)})
        for name in ("GLUSTERD_INFO", "AUTHORITY_ISSUER", "TRUSTED", "CLOCK_AGREED", "COPY"):
            monkeypatch.setattr(paths, name, folder / name.lower())
        paths.GLUSTERD_INFO.write_text("UUID=…")
        monkeypatch.setattr(likeness, "read_facts", lambda *_, pooled: self.own.model_copy(update={"pooled": pooled}))
        monkeypatch.setattr(watch.services, "stop", lambda unit: self.done.append(f"stop {unit}"))
        monkeypatch.setattr(watch.processes, "end_all", lambda: self.done.append("end Gluster"))
        monkeypatch.setattr(watch.machineid, "renew", lambda: self.done.append("renew"))
        monkeypatch.setattr(watch, "_has_peers", lambda _: False)
        self.watch = Watch(
            Identity(2, f"{2:032x}", "5" * 32, NAMES, "a" * 32), self.context, self.journal, (), asked=lambda: NAMES
        )

    def others(self, facts: dict[int, Facts]) -> None:
        self.context.views = {
            slot: View(node_id=f"{slot:032x}", slot=slot, seed_id="5" * 32, phase="pool", facts=known)
            for slot, known in facts.items()
        }


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path, monkeypatch)


def test_different_marks_are_no_trouble(watched: Watched) -> None:
    assert watched.watch.before_pool(watched.context) is None
    assert watched.watch.problems(watched.context) == []
    assert watched.done == []


def test_the_later_of_two_equal_glusterd_uuids_goes_before_glusterd_starts(watched: Watched) -> None:
    watched.own = Facts(glusterd=ALIKE)
    watched.others({1: Facts(glusterd=ALIKE)})
    assert watched.watch.before_pool(watched.context) is None
    assert watched.done[1:] == ["stop glusterd"]
    assert not paths.GLUSTERD_INFO.exists()


@pytest.mark.parametrize("slots", [(2, 3), (1, 3)])
def test_whoever_keeps_its_uuid_or_has_another_waits_until_they_differ(
    watched: Watched, slots: tuple[int, int]
) -> None:
    watched.own = Facts(glusterd=ALIKE if 2 in slots else UUIDS[2])
    watched.others({slot: Facts(glusterd=ALIKE) for slot in slots if slot != 2})
    said = watched.watch.before_pool(watched.context)
    assert said is not None
    assert said.reason == f"node{slots[0]} and node{slots[1]} have the same glusterd UUID {ALIKE}"
    assert said.hint
    assert paths.GLUSTERD_INFO.exists()


def test_a_node_of_the_pool_never_changes_what_it_is_known_by(watched: Watched) -> None:
    watched.journal.finish("pool", datetime.now(UTC))
    watched.own = Facts(glusterd=ALIKE, machine_id="1" * 32)
    watched.others({1: Facts(glusterd=ALIKE, machine_id="1" * 32, pooled=True)})
    assert watched.watch.before_pool(watched.context) is not None
    watched.watch.admit(watched.context)
    assert watched.done == []
    assert watched.watch.problems(watched.context) == [
        f"identity: node1 and node2 have the same glusterd UUID {ALIKE}",
        "identity: node1 and node2 have the same machine-id",
    ]


def test_a_machine_id_is_renewed_by_the_later_one(watched: Watched) -> None:
    watched.own = Facts(machine_id="3" * 32)
    watched.others({3: Facts(machine_id="3" * 32)})
    watched.watch.admit(watched.context)
    assert "renew" not in watched.done
    watched.others({3: Facts(machine_id="3" * 32, pooled=True)})
    watched.watch.admit(watched.context)
    assert "renew" in watched.done


def test_chrony_learns_of_members_only_once_the_clock_was_compared(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[dict[str, str]] = []

    def keep(files: dict[str, str]) -> bool:
        kept.append(files)
        return True

    monkeypatch.setattr(watch.chrony, "keep", keep)
    watched.watch.before_pool(watched.context)
    authority.save(authority.create("demo"), paths.AUTHORITY_ISSUER, paths.TRUSTED)
    watched.watch.before_pool(watched.context)
    assert kept == []
    paths.CLOCK_AGREED.write_text("")
    watched.watch.before_pool(watched.context)
    assert "server 192.0.2.1 key 1" in kept[0]["members.sources"]


def test_a_copy_gives_up_gluster(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    is_copy: Callable[[object], bool] = lambda _: True  # noqa: E731
    monkeypatch.setattr(watch.Twins, "is_copy", property(is_copy))
    assert watched.watch.keep_out() is not None
    assert watched.done == ["end Gluster"]
