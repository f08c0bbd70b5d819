"""The managed block of the hosts file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.cluster.names import BEGIN, END, host_name, keep, merge
from firstboot.context import Member
from firstboot.errors import RefusedError


def member(slot: int, address: str) -> Member:
    return Member(slot, f"node{slot}", str(slot) * 32, address, host_name(f"node{slot}", "demo"))


def test_the_block_is_appended_and_replaced() -> None:
    first = merge("127.0.0.1\tlocalhost\n", [member(2, "192.0.2.2"), member(1, "192.0.2.1")])
    assert first == (
        "127.0.0.1\tlocalhost\n"
        f"{BEGIN}\n"
        "192.0.2.1\tnode1.demo.trivet.internal node1\n"
        "192.0.2.2\tnode2.demo.trivet.internal node2\n"
        f"{END}\n"
    )
    second = merge(first + "192.0.2.9\tprinter\n", [member(1, "192.0.2.11")])
    assert "192.0.2.11\tnode1" in second
    assert "192.0.2.1\t" not in second
    assert "192.0.2.9\tprinter" in second
    assert second.count(BEGIN) == 1


def test_names_lead_into_the_storage_network_where_there_is_one() -> None:
    apart = replace(member(1, "192.0.2.1"), storage_address="198.51.100.1")
    assert "198.51.100.1\tnode1.demo" in merge("", [apart])
    assert "192.0.2.1\t" not in merge("", [apart])


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\n\r"), max_size=20), max_size=5))
def test_other_lines_stay_and_a_second_merge_changes_nothing(lines: list[str]) -> None:
    hosts = "".join(f"{line}\n" for line in lines)
    once = merge(hosts, [member(1, "192.0.2.1")])
    assert merge(once, [member(1, "192.0.2.1")]) == once
    assert once.splitlines()[: len(hosts.splitlines())] == hosts.splitlines()


def test_a_damaged_block_is_not_guessed_at() -> None:
    with pytest.raises(RefusedError, match="don't pair"):
        merge(f"{BEGIN}\n192.0.2.1 a\n", [])


def test_the_file_is_written_only_on_change(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    assert keep([member(1, "192.0.2.1")], path)
    assert "localhost" in path.read_text()
    assert not keep([member(1, "192.0.2.1")], path)
