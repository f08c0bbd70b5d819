"""The packet filter's text, whether a listing shows it, and what is done about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot import paths
from firstboot.errors import BadInputError, TrivetError
from firstboot.network import packetfilter
from firstboot.network.packetfilter import PacketFilter, is_same, refused, ruleset
from firstboot.run import CommandError, Completed

LISTED = (Path(__file__).parent / "answers" / "nft-list-table.txt").read_text()
"""As nft 1.0.6 and 1.1.3 list it."""
MEMBERS = ("10.91.7.10", "10.91.7.2", "fe80::1%eth0", "::ffff:10.91.7.1")


def test_the_text_is_what_nft_lists() -> None:
    assert is_same(ruleset(MEMBERS), LISTED)
    assert is_same(ruleset(reversed(MEMBERS)), LISTED)


def test_without_members_only_this_node_passes() -> None:
    text = ruleset(())
    assert "elements" not in text
    assert 'iif "lo" accept' in text


@pytest.mark.parametrize(
    "change",
    [
        ("10.91.7.10 }", "10.91.7.11 }"),
        ("\t\tip saddr @members4 accept\n", "\t\tip saddr @members4 accept\n\t\taccept\n"),
        ("\t\tmeta l4proto tcp reject with tcp reset\n", ""),
        ("policy accept", "policy drop"),
        ("50152-52151", "50152-52150"),
        ("\tchain gluster {\n", "\tchain more {\n\t}\n\n\tchain gluster {\n"),
    ],
)
def test_any_other_change_is_seen(change: tuple[str, str]) -> None:
    before, after = change
    assert before in LISTED
    assert not is_same(ruleset(MEMBERS), LISTED.replace(before, after))


def test_an_address_that_is_a_name_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"not numeric: node2\.example"):
        ruleset(["node2.example"])


def test_who_was_refused() -> None:
    assert refused(LISTED) == {"10.91.7.4": 12, "10.91.7.5": 1, "fd00::2": 3}
    assert refused(ruleset(MEMBERS)) == {}


class Kernel:
    """Stands for nft: has a table or none, loads what it is given, or refuses."""

    def __init__(self) -> None:
        self.table: str | None = None
        self.loads = 0
        self.refuses = self.forgets = False

    def run(self, argv: list[str], *, timeout_s: float, check: bool = True, input_text: str = "") -> Completed:
        if argv[:2] == ["nft", "list"]:
            return Completed(tuple(argv), int(self.table is None), self.table or "", "", 0)
        assert argv == ["nft", "-f", "-"]
        self.loads += 1
        if self.refuses:
            raise CommandError(Completed(tuple(argv), 1, "", "Operation not supported", 0), "exited with 1")
        assert input_text.startswith("table inet trivet\ndelete table inet trivet\n"), "not replaced in one go"
        self.table = None if self.forgets else input_text.removeprefix(packetfilter.REPLACE)
        return Completed(tuple(argv), 0, "", "", 0)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(packetfilter, "run", made.run)
    monkeypatch.setattr(paths, "PACKET_FILTER", tmp_path / "packetfilter.nft")
    return made


def test_loaded_once_and_again_when_something_changed(kernel: Kernel) -> None:
    keeper = PacketFilter()
    assert keeper.keep(MEMBERS)
    assert not keeper.keep(MEMBERS)
    assert keeper.keep(MEMBERS[:2])
    kernel.table = None
    assert keeper.keep(MEMBERS[:2]), "somebody flushed it"
    assert kernel.loads == 3


def test_it_is_stored_for_the_next_boot_even_when_it_is_loaded_already(kernel: Kernel) -> None:
    kernel.table = LISTED
    assert not PacketFilter().keep(MEMBERS)
    stored = paths.PACKET_FILTER.read_text()
    assert stored.endswith(packetfilter.REPLACE + ruleset(MEMBERS))
    assert paths.PACKET_FILTER.stat().st_mode & 0o777 == 0o600


def test_nothing_is_followed_before_there_is_one(kernel: Kernel) -> None:
    keeper = PacketFilter()
    keeper.follow(MEMBERS)
    assert kernel.loads == 0
    keeper.keep(MEMBERS)
    keeper.follow(MEMBERS[:2])
    assert kernel.loads == 2
    assert kernel.table is not None
    assert is_same(ruleset(MEMBERS[:2]), kernel.table)


def test_what_can_not_be_loaded_is_an_error(kernel: Kernel) -> None:
    kernel.refuses = True
    with pytest.raises(TrivetError, match=r"can't be loaded: [\s\S]*Operation not supported"):
        PacketFilter().keep(MEMBERS)
    kernel.refuses, kernel.forgets = False, True
    with pytest.raises(TrivetError, match="the kernel has another: none"):
        PacketFilter().keep(MEMBERS)


def test_each_stranger_is_named_once(kernel: Kernel, caplog: pytest.LogCaptureFixture) -> None:
    keeper = PacketFilter()
    kernel.table = LISTED
    for _ in range(3):
        keeper.keep(MEMBERS)
    assert [record.getMessage().split()[0] for record in caplog.records if "no member" in record.getMessage()] == [
        "10.91.7.4",
        "10.91.7.5",
        "fd00::2",
    ]
