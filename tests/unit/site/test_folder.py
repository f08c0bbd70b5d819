"""The site folder: whole or not there, private, versioned, one writer at a time."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path

import pytest

from builder.profile.check_access import key_fault
from builder.site import folder
from builder.site.folder import Site, changing, create_site, open_site
from builder.site.slots import issue_seed
from firstboot.errors import BadInputError, RefusedError
from tests.unit.site.seeds import small_plan


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_site_opens_again(site: Site) -> None:
    again = open_site(site.path)
    assert again == site
    assert again.unlock_root(None).site_id == site.id


def test_nobody_else_can_read_it(site: Site) -> None:
    assert mode(site.path) == 0o700
    assert {path.name: mode(path) for path in site.path.iterdir() if mode(path) != 0o600} == {}


def test_the_admin_key_is_in_the_plan(site: Site) -> None:
    line = (site.path / "admin_ed25519.pub").read_text().strip()
    assert line in site.plan.access.ssh_keys
    assert key_fault(line) is None
    assert site.admin_key.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_a_site_is_never_made_over_something(site: Site, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="is there already"):
        create_site(site.path, "trio", small_plan())
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RefusedError, match="is there already"):
        create_site(tmp_path / "link", "trio", small_plan())


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: str, *, mode: int) -> None:
        if path.name == "operator.key":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write_atomic", full)
    with pytest.raises(RefusedError, match="No space left"):
        create_site(tmp_path / "trio", "trio", small_plan())
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="can't be a site's name"):
        create_site(tmp_path / "far" / "x", "Rack 1", small_plan())
    assert list(tmp_path.iterdir()) == []


def test_not_a_site(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is not a site folder"):
        open_site(tmp_path)


@pytest.mark.parametrize("name", ["site.json", "plan.json"])
def test_newer_majors_are_refused_by_name(site: Site, name: str) -> None:
    document = json.loads((site.path / name).read_text())
    (site.path / name).write_text(json.dumps({**document, "version": "2.0"}))
    with pytest.raises(BadInputError, match=rf"{name} has format version 2.0; this Trivet reads 1.x"):
        open_site(site.path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "other"}', '{"format": "trivet-site", "version": "1.0"}']
)
def test_damaged_record(site: Site, text: str) -> None:
    (site.path / "site.json").write_text(text)
    with pytest.raises(BadInputError, match=r"site.json is (damaged|not of format)"):
        open_site(site.path)


def test_a_site_without_a_key_is_not_whole(site: Site) -> None:
    site.root_key.unlink()
    with pytest.raises(BadInputError, match=r"is not whole: root.key"):
        open_site(site.path)


def test_open_modes_are_refused(site: Site) -> None:
    site.admin_key.chmod(0o644)
    with pytest.raises(RefusedError, match="others could read"):
        open_site(site.path)


def test_passphrase(tmp_path: Path) -> None:
    made = create_site(tmp_path / "trio", "trio", small_plan(), passphrase="correct horse")
    assert made.has_passphrase
    assert made.unlock_root("correct horse").site_id == made.id
    with pytest.raises(BadInputError, match="has a passphrase"):
        made.unlock_root(None)
    with pytest.raises(BadInputError, match="can't be unlocked"):
        made.unlock_root("battery staple")


def test_the_lock_keeps_a_second_writer_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LOCK_WAIT_S", 0.0)
    with changing(site), pytest.raises(RefusedError, match="another trivet is changing"), changing(site):
        raise AssertionError("two writers were in")
    with changing(site) as current:
        assert current == site


def _issue(path: str, slot: int) -> None:
    issue_seed(open_site(Path(path)), slot, written_to=f"process {slot}")


def test_writers_side_by_side_lose_nothing(site: Site) -> None:
    """Each process has an old record when it begins; the lock makes it read again before it saves."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_issue, args=(str(site.path), slot)) for slot in (1, 2, 3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(issue.slot for issue in open_site(site.path).record.issues) == [1, 2, 3]
