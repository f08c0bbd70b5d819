"""Which seed counts, which machine fits, who may log in, and what the clock may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot import paths
from firstboot.access import settle, with_hash
from firstboot.clock import behind
from firstboot.context import Context
from firstboot.errors import BadInputError, RefusedError, TrivetError
from firstboot.files import write_atomic
from firstboot.identity import Identity, select
from firstboot.machine import Machine, misfit, read
from firstboot.nodekey import NodeKey
from firstboot.phases import Done, Wait
from firstboot.plan import Access, Match
from firstboot.seed import Seed, encode, without_key
from firstboot.seedmedia import Found
from firstboot.state import Journal
from tests.unit.firstboot.sites import issue, site

ROOT, SEEDS = site()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's files in a folder; media are empty."""
    for name, place in {
        "STATE": "state",
        "SEED": "state/seed.json",
        "NODE_KEY": "state/node.key",
        "CLAIM": "state/claim.pem",
        "ROOT_KEYS": "etc/ssh/authorized_keys.d/root",
        "HOSTNAME": "etc/hostname",
        "SHADOW": "etc/shadow",
    }.items():
        monkeypatch.setattr(paths, name, tmp_path / place)
    (tmp_path / "etc").mkdir()
    monkeypatch.setattr("firstboot.seedmedia.find", lambda: None)
    monkeypatch.setattr("firstboot.clock.raise_to_floor", lambda: False)
    monkeypatch.setattr("socket.gethostname", lambda: "node1")
    return tmp_path


def identify(node: Path, given: Path | None) -> tuple[object, Context]:
    context = Context(report=lambda _: None)
    return Identity(Journal(node / "journal.json"), given).step(context), context


def write_seed(folder: Path, seed: Seed) -> Path:
    path = folder / f"seed-{seed.slot.seed_id[:6]}.json"
    write_atomic(path, encode(seed))
    return path


def test_a_seed_is_imported_once_and_found_again(node: Path) -> None:
    outcome, context = identify(node, write_seed(node, SEEDS[0]))
    assert isinstance(outcome, Done)
    assert context.seed == without_key(SEEDS[0])
    assert paths.SEED.stat().st_mode & 0o777 == 0o600
    assert paths.NODE_KEY.stat().st_mode & 0o777 == 0o600
    assert paths.HOSTNAME.read_text() == "node1\n"
    again, second = identify(node, None)
    assert isinstance(again, Done)
    assert second.node_id == context.node_id


def test_the_slot_key_is_used_once_and_not_kept(node: Path) -> None:
    _, context = identify(node, write_seed(node, SEEDS[0]))
    kept = "".join(path.read_text() for path in sorted(paths.STATE.iterdir()))
    assert SEEDS[0].slot.key not in kept
    assert kept.count("PRIVATE KEY-----") == 2  # begin and end of the node's own
    assert context.claim_credentials.trusted == ROOT.certificate_pem


def test_a_lost_claim_certificate_is_made_anew_with_the_medium_and_asked_for_without(node: Path) -> None:
    medium = write_seed(node, SEEDS[0])
    _, context = identify(node, medium)
    paths.CLAIM.unlink()
    with pytest.raises(TrivetError, match=r"claim\.pem, by which slot 1 vouches for this node, is gone"):
        identify(node, None)
    outcome, again = identify(node, medium)
    assert isinstance(outcome, Done)
    assert again.node_id == context.node_id
    assert SEEDS[0].slot.key not in paths.SEED.read_text()


def test_without_a_seed_the_machine_waits_unclaimed(node: Path) -> None:
    outcome, context = identify(node, None)
    assert isinstance(outcome, Wait)
    assert "TRIVET-SEED" in outcome.reason
    assert context.seed is None
    assert not paths.NODE_KEY.exists()


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\xfe", encode(SEEDS[0])[:-40], b"x" * 2_000_000])
def test_a_damaged_seed_is_refused_and_nothing_is_written(node: Path, damage: bytes) -> None:
    path = node / "seed.json"
    path.write_bytes(damage)
    with pytest.raises(BadInputError, match=r"seed\.json"):
        identify(node, path)
    assert not paths.SEED.exists()


def test_a_node_that_has_its_seed_does_without_a_damaged_medium(node: Path) -> None:
    identify(node, write_seed(node, SEEDS[0]))
    damaged = node / "damaged.json"
    damaged.write_bytes(b"{")
    identity = Identity(Journal(node / "journal.json"), damaged)
    assert isinstance(identity.step(Context(report=lambda _: None)), Done)
    assert "damaged.json" in identity.problems()[0]


def test_a_seed_that_its_root_did_not_sign_is_refused(node: Path) -> None:
    _, others = site()
    forged = SEEDS[0].model_copy(update={"slot": others[0].slot})
    with pytest.raises(BadInputError, match="not signed by the root"):
        identify(node, write_seed(node, forged))
    assert not paths.SEED.exists()


def test_a_seed_for_another_machine_is_refused(node: Path) -> None:
    slots = (
        SEEDS[0].plan.slots[0].model_copy(update={"match": Match(serial="not-this-one")}),
        *SEEDS[0].plan.slots[1:],
    )
    bound = SEEDS[0].model_copy(update={"plan": SEEDS[0].plan.model_copy(update={"slots": slots})})
    with pytest.raises(RefusedError, match="serial number not-this-one"):
        identify(node, write_seed(node, bound))


def test_the_stored_seed_stays_when_the_medium_agrees() -> None:
    stored, same = Found(SEEDS[0], "store"), Found(SEEDS[0], "medium")
    assert select(stored, None) == select(stored, same) == SEEDS[0]
    assert select(None, same) == SEEDS[0]
    assert select(None, None) is None


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (site()[1][0], "a seed of another site"),
        (SEEDS[1], "a seed of another slot"),
        (issue(ROOT, 1), "a newer or older seed of the same slot"),
    ],
)
def test_a_medium_that_contradicts_is_named(offered: Seed, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        select(Found(SEEDS[0], "store"), Found(offered, "/dev/sdx1"))
    assert "/dev/sdx1" in caught.value.message
    assert SEEDS[0].slot.key not in str(caught.value)


def test_the_node_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    made = NodeKey.load_or_make(path)
    assert NodeKey.load_or_make(path).node_id == made.node_id
    path.write_text("rubbish")
    with pytest.raises(BadInputError, match="damaged"):
        NodeKey.load_or_make(path)


def test_match_rules() -> None:
    machine = Machine(("52:54:00:00:00:01",), "S1")
    assert misfit(Match(), machine) is None
    assert misfit(Match(mac="52:54:00:00:00:01", serial="S1"), machine) is None
    assert "MAC" in (misfit(Match(mac="52:54:00:00:00:02"), machine) or "")
    assert "serial number S2" in (misfit(Match(serial="S2"), machine) or "")


def test_the_machine_is_read_from_sysfs(tmp_path: Path) -> None:
    for name, real in (("lo", False), ("ens3", True)):
        folder = tmp_path / "class/net" / name
        folder.mkdir(parents=True)
        (folder / "address").write_text("52:54:00:AA:00:01\n")
        if real:
            (folder / "device").mkdir()
    (tmp_path / "class/dmi/id").mkdir(parents=True)
    (tmp_path / "class/dmi/id/product_serial").write_text("S1\n")
    assert read(tmp_path) == Machine(("52:54:00:aa:00:01",), "S1")


def test_access_is_as_the_plan_says(node: Path) -> None:
    paths.SHADOW.write_text("root:!:1::::::\nbin:*:1::::::\n")
    settle(Access(ssh_keys=("ssh-ed25519 AAAA me",), console_password_hash="$y$hash"), "node1")
    assert paths.ROOT_KEYS.read_text() == "ssh-ed25519 AAAA me\n"
    assert paths.SHADOW.read_text() == "root:$y$hash:1::::::\nbin:*:1::::::\n"
    assert paths.SHADOW.stat().st_mode & 0o777 == 0o640
    before = paths.SHADOW.stat().st_ino
    settle(Access(ssh_keys=("ssh-ed25519 AAAA me",), console_password_hash="$y$hash"), "node1")
    assert paths.SHADOW.stat().st_ino == before


def test_without_a_hash_the_password_stays_locked(node: Path) -> None:
    paths.SHADOW.write_text("root:!:1::::::\n")
    settle(Access(), "node1")
    assert paths.SHADOW.read_text() == "root:!:1::::::\n"


def test_a_shadow_file_without_root_is_named() -> None:
    with pytest.raises(TrivetError, match="no user root"):
        with_hash("bin:*:1\n", "root", "x")


def test_the_clock_has_a_floor() -> None:
    assert behind(100.0, {"epoch": 200}) == 200.0
    assert behind(300.0, {"epoch": 200}) is None
    assert behind(100.0, {}) is None
    assert behind(100.0, {"epoch": "soon"}) is None
