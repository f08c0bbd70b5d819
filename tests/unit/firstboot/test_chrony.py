"""What chrony is told of the members, and when it is told; what it says of the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot import chrony
from firstboot.chrony import CONF, KEYS, SOURCES, files, follows_server, key_of, parse_tracking
from firstboot.cluster.certificates import new_key
from firstboot.errors import TrivetError

GOLDEN = Path(__file__).parents[2] / "golden" / "chrony"
KEY = bytes(range(16))
SITE = "0123456789abcdef0123456789abcdef"
THREE = {1: "192.0.2.11", 2: "192.0.2.12", 3: "192.0.2.13"}
SEVEN = {slot: f"192.0.2.{10 + slot}" for slot in range(1, 8)}


@pytest.mark.parametrize(
    ("name", "addresses", "slot"), [("leader-of-three", THREE, 2), ("follower-of-seven", SEVEN, 6)]
)
def test_the_files_are_the_golden_ones(name: str, addresses: dict[int, str], slot: int) -> None:
    made = files(addresses, slot, KEY)
    assert {path.name: path.read_text() for path in (GOLDEN / name).iterdir()} == made


def test_the_key_follows_from_authority_and_site() -> None:
    one, other = new_key(), new_key()
    assert key_of(one, SITE) == key_of(one, SITE)
    assert len({key_of(one, SITE), key_of(other, SITE), key_of(one, SITE[::-1])}) == 3
    assert len(key_of(one, SITE)) == chrony.KEY_BYTES


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done to chronyd, in words."""
    done: list[str] = []
    monkeypatch.setattr("firstboot.chrony.run", lambda argv, **_: done.append(" ".join(argv)))
    monkeypatch.setattr("firstboot.chrony.services.restart", lambda unit: done.append(f"restart {unit}"))
    return done


def test_chrony_reads_what_changed_and_nothing_else(told: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "chrony"
    assert chrony.keep(files(THREE, 1, KEY), folder)
    assert told == ["restart chrony"]
    assert (folder / KEYS).stat().st_mode & 0o777 == 0o600
    assert (folder / SOURCES).stat().st_mode & 0o777 == 0o644
    assert not chrony.keep(files(THREE, 1, KEY), folder)
    assert chrony.keep(files({**THREE, 2: "192.0.2.77"}, 1, KEY), folder)
    assert told[1:] == ["restart chrony"], "whom it serves is read at its start only"
    assert chrony.keep(files(THREE, 1, bytes(16)), folder)
    assert told[2:] == ["restart chrony"]


def test_other_sources_alone_are_read_again_without_a_restart(told: list[str], tmp_path: Path) -> None:
    wanted = files(THREE, 1, KEY)
    chrony.keep(wanted, tmp_path)
    chrony.keep({**wanted, SOURCES: "server 192.0.2.99\n"}, tmp_path)
    assert told == ["restart chrony", "chronyc reload sources"]


def test_files_that_were_written_but_not_read_are_read(told: list[str], tmp_path: Path) -> None:
    wanted = files(THREE, 1, KEY)
    chrony.keep(wanted, tmp_path)
    for name, text in files(SEVEN, 1, KEY).items():
        (tmp_path / name).write_text(text)
    assert chrony.keep(files(SEVEN, 1, KEY), tmp_path)
    assert told[1:] == ["restart chrony"]
    assert CONF in wanted


SERVER = "C0000235,192.0.2.53,3,1772600000.123456789,-0.000012,0.0,0.0,-7.5,0.01,0.2,0.01,0.002,64.5,Normal\n"
MEMBER = "C0000202,192.0.2.12,11,1772600000.494621541,0.000011,0.0,0.0,-0.3,0.0,0.3,0.0,0.0,2.0,Normal\n"
LOCAL = "7F7F0101,,10,1772600000.107154089,0.000000000,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,Normal\n"
ALONE = "00000000,,0,0.000000000,0.000000000,0.0,0.0,-7.5,0.0,0.0,1.0,1.0,0.0,Not synchronised\n"


@pytest.mark.parametrize(("text", "server"), [(SERVER, True), (MEMBER, False), (LOCAL, False), (ALONE, False)])
def test_a_server_is_neither_a_member_nor_the_own_clock(text: str, server: bool) -> None:
    assert follows_server(parse_tracking(text), frozenset(THREE.values())) is server


@pytest.mark.parametrize("text", ["", "a,b,c", SERVER.replace("-0.000012", "fast")])
def test_odd_words_of_chronyc_are_refused(text: str) -> None:
    with pytest.raises(TrivetError, match="chronyc printed"):
        parse_tracking(text)


def test_who_leaves_serves_nobody(told: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "chrony"
    chrony.leave(folder)
    assert told == [], "it had nothing to do with members"
    chrony.keep(files(THREE, 1, KEY), folder)
    told.clear()
    chrony.leave(folder)
    assert len(told) == 1, "chrony reads its files anew"
    assert all("192.0.2." not in (folder / name).read_text() for name in (CONF, SOURCES, KEYS))
    chrony.leave(folder)
    assert len(told) == 1
