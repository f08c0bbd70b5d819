"""Which kills are planned, how a run goes on where it was left off, and its table."""

from __future__ import annotations

from pathlib import Path

from tests.netns.crash.endstate import differences
from tests.netns.crash.plan import Case, Result, Results, cases, choose, summary, table
from tests.netns.crash.points import Point, Record

PROBE = Point("command", "gluster --mode=script --xml peer probe node2", "after")
LOOK = Point("command", "lsblk --json", "before")
LOST = Point("write", "/var/lib/trivet/claims.json", "unsynced")
QUICK = Point("command", "mount -t xfs", "after")


def record(*points: Point, took_s: float = 1.0) -> Record:
    return Record(9, points, {p: took_s for p in points if p.phase == "after"}, None, False, ())


def kinds(found: list[Case], point: Point) -> list[str]:
    return [case.kind for case in found if case.point == point]


def test_every_point_is_killed_for_agent_and_node() -> None:
    found = cases({"founder": record(LOOK), "follower": record(LOOK, QUICK)})
    assert kinds(found, LOOK) == ["agent", "node"] * 2
    assert kinds(found, QUICK) == ["agent", "node"]
    assert len(found) == len(set(found))


def test_what_is_not_synced_yet_is_lost_with_the_node_alone() -> None:
    assert kinds(cases({"founder": record(LOST)}), LOST) == ["node"]


def test_others_die_too_while_the_founder_changes_the_pool() -> None:
    found = cases({"founder": record(PROBE), "follower": record(PROBE)})
    assert kinds(found, PROBE) == ["agent", "node", "peer", "site", "agent", "node"]


def test_calls_are_cut_off_in_the_middle_if_they_have_one() -> None:
    found = cases({"founder": record(PROBE, QUICK)})
    delays = {case.point.phase: case.delay_s for case in found if case.point.what == PROBE.what}
    assert delays == {"15% into": 0.15, "40% into": 0.4, "70% into": 0.7, "after": 0.0}
    assert [c.point.phase for c in cases({"founder": record(QUICK, took_s=0.001)})] == ["after", "after"]


def test_cases_are_chosen_by_words_or_drawn_the_same_by_seed() -> None:
    every = cases({"founder": record(PROBE, QUICK, LOOK), "follower": record(QUICK, LOOK)})
    assert {case.role for case in choose(every, "follower mount", 0, 1)} == {"follower"}
    drawn = choose(every, "", 5, 7)
    assert len(drawn) == 5
    assert drawn == choose(every, "", 5, 7)
    assert drawn != choose(every, "", 5, 8)
    assert choose(every, "", 1000, 7) == every


def results(path: Path) -> Results:
    begun = Results(path, {"commit": "abc", "calls": {"founder": 9}, "points": {"founder": 2}})
    begun.start()
    return begun


def test_a_run_goes_on_where_it_was_left_off(tmp_path: Path) -> None:
    every = cases({"founder": record(PROBE)})
    begun = results(tmp_path / "results.jsonl")
    begun.add(every[0], Result("converged", 17.0, 12.0))
    begun.add(every[1], Result("failed", 430.0, why=("two pools",)))
    with begun.path.open("a") as file:
        file.write('{"case": {"role": "founder", "po')
    known = Results.load(begun.path)
    assert known is not None
    assert known.head == begun.head
    assert known.done == begun.done
    assert Results.load(tmp_path / "none") is None


def test_the_table_counts_what_came_of_each(tmp_path: Path) -> None:
    every = cases({"founder": record(LOST, LOOK)})
    begun = results(tmp_path / "results.jsonl")
    outcomes = iter(("converged", "failed", "not reached"))
    for case in every:
        begun.add(case, Result(next(outcomes), recovery_s=12.0))
    assert table(begun.done).splitlines() == [
        "point                 founder agent     founder node",
        "command before                0/0/1            0/1/0",
        "write unsynced                    -            1/0/0",
        "all                           0/0/1            1/1/0",
        "each: converged / not reached / failed",
    ]
    said = summary(every, begun)
    assert (said["cases"], said["done"], said["converged"], said["not_reached"], said["failed"]) == (3, 3, 1, 1, 1)
    assert said["recovery_s_max"] == 12.0


def test_states_are_compared_key_by_key() -> None:
    assert differences({"volumes": "data", "files": "a"}, {"volumes": "data", "files": "b", "more": "c"}) == [
        "files: 'b', not 'a'",
        "more: 'c', not None",
    ]
    assert differences({"a": "b"}, {"a": "b"}) == []
