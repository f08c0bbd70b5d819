"""Mirrors out of apt's configuration, in both of its styles."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.image import mirror
from builder.image.mirror import Mirrors, Source, checked_uri, choose, parse_deb822, parse_list, read_sources
from firstboot.errors import BadInputError

DEB822 = """\
Types: deb deb-src
# a remark
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS
"""


def test_deb822_stanzas() -> None:
    assert list(parse_deb822(DEB822)) == [
        Source("http://mirror.example/debian", "bookworm", ("main", "contrib")),
        Source("http://mirror.example/debian", "bookworm-updates", ("main", "contrib")),
        Source("http://mirror.example/debian-security", "bookworm-security", ("main",)),
    ]


@pytest.mark.parametrize("line", ["Enabled: no", "Types: deb-src"])
def test_deb822_without_packages_is_passed_over(line: str) -> None:
    stanza = "Types: deb\nURIs: http://a.example/debian\nSuites: trixie\nComponents: main\n" + line
    assert list(parse_deb822(stanza)) == []


def test_one_line_style() -> None:
    text = """\
# deb http://off.example/debian trixie main
deb [arch=amd64 signed-by=/etc/k.gpg] http://mirror.example/debian/ trixie main # why
deb-src http://mirror.example/debian trixie main
deb http://mirror.example/debian-security trixie-security main
"""
    assert list(parse_list(text)) == [
        Source("http://mirror.example/debian", "trixie", ("main",)),
        Source("http://mirror.example/debian-security", "trixie-security", ("main",)),
    ]


@pytest.mark.parametrize(
    "suite", ["bookworm", "trixie-updates", "stable", "sid", "oldstable", "testing", "bookworm-backports"]
)
def test_debian_suites_are_an_archive(suite: str) -> None:
    assert choose([Source("http://m.example/debian", suite, ("main",))]) == Mirrors("http://m.example/debian")


@pytest.mark.parametrize("suite", ["bookworm-security", "stable-security", "bullseye/updates", "stable/updates"])
def test_security_suites_are_no_archive(suite: str) -> None:
    source = Source("http://m.example/security", suite, ("main",))
    assert choose([source]) == Mirrors("", "http://m.example/security")


def test_a_host_without_debian_has_to_be_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mirror, "APT", tmp_path)
    monkeypatch.setattr(mirror, "apt_proxy", lambda: "")
    with pytest.raises(BadInputError, match="names no Debian archive"):
        mirror.host_mirrors()
    assert mirror.host_mirrors("http://m.example/debian/") == Mirrors("http://m.example/debian")


def test_what_is_asked_for_replaces_the_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "deb http://h.example/debian trixie main\ndeb http://h.example/sec trixie-security main\n"
    )
    monkeypatch.setattr(mirror, "APT", tmp_path)
    monkeypatch.setattr(mirror, "apt_proxy", lambda: "")
    assert mirror.host_mirrors() == Mirrors("http://h.example/debian", "http://h.example/sec")
    assert mirror.host_mirrors("http://a.example/debian") == Mirrors(
        "http://a.example/debian", "http://h.example/sec"
    )
    assert mirror.host_mirrors(None, "http://s.example/s").security == "http://s.example/s"


def test_other_archives_are_passed_over() -> None:
    sources = [
        Source("https://packages.example/apt", "cloud-sdk-bookworm", ("main",)),
        Source("https://node.example", "nodistro", ("main",)),
        Source("cdrom:[Debian]", "bookworm", ("main",)),
        Source("http://m.example/extra", "bookworm", ("contrib",)),
        Source("http://m.example/debian", "bookworm", ("main",)),
        Source("http://m.example/security", "bookworm-security", ("main",)),
        Source("http://second.example/debian", "bookworm", ("main",)),
    ]
    assert choose(sources) == Mirrors("http://m.example/debian", "http://m.example/security")


def test_all_files_in_the_order_of_apt(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://one.example/debian trixie main\n")
    (tmp_path / "sources.list.d" / "b.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "a.list").write_text("deb http://two.example/debian trixie main\n")
    (tmp_path / "sources.list.d" / "ignored.save").write_text("deb http://no.example/debian trixie main\n")
    assert [source.uri.split("/")[2] for source in read_sources(tmp_path)] == [
        "one.example",
        "two.example",
        "mirror.example",
        "mirror.example",
        "mirror.example",
    ]


def test_no_configuration_at_all(tmp_path: Path) -> None:
    assert read_sources(tmp_path) == []


@pytest.mark.parametrize(
    "text", ["mirror.example", "ftp://x/debian", "http://a b", "http://a/$(id)", "http://a';id", ""]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadInputError, match="is not an address"):
        checked_uri(text)


def test_an_address() -> None:
    assert checked_uri("http://mirror.example:3142/debian/") == "http://mirror.example:3142/debian"
