"""Where Debian's packages come from: the host's own apt configuration, or what was asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from firstboot.errors import BadInputError
from firstboot.run import run

APT = Path("/etc/apt")

# Names of suites of Debian itself; other archives have names of their own, and one of those is not a Debian mirror.
DEBIAN_SUITE = re.compile(
    r"^(?:(?:old)*stable|testing|unstable|sid|experimental|bullseye|bookworm|trixie|forky|duke)"
    r"(?P<security>-security|/updates)?(?:-[a-z-]+)?/?$"
)


@dataclass(frozen=True)
class Mirrors:
    """Addresses of the archive and of security updates; no security archive where the host has none."""

    archive: str
    security: str = ""
    proxy: str = ""
    """apt's HTTP proxy, only for the time of the build."""


@dataclass(frozen=True)
class Source:
    """One archive of apt's configuration."""

    uri: str
    suite: str
    components: tuple[str, ...]


def host_mirrors(archive: str | None = None, security: str | None = None) -> Mirrors:
    """The mirrors to build from: what was asked for, else those of the host's apt.

    Raises BadInputError when nothing names a Debian archive.
    """
    found = choose(read_sources(APT))
    mirrors = Mirrors(
        archive=found.archive if archive is None else checked_uri(archive),
        security=found.security if security is None else checked_uri(security),
        proxy=apt_proxy(),
    )
    if not mirrors.archive:
        raise BadInputError(
            "apt's configuration on this host names no Debian archive",
            hint="give one: trivet build PROFILE --mirror http://HOST/debian",
        )
    return mirrors


def checked_uri(text: str) -> str:
    """The address of a mirror without its trailing slash; raises BadInputError for what apt can't fetch from."""
    if not re.fullmatch(r"(https?|file|copy)://?[^\s'\"$`;|&<>]+", text):
        raise BadInputError(f"mirror {text} is not an address", hint="give one like http://HOST/debian")
    return text.rstrip("/")


def choose(sources: Iterable[Source]) -> Mirrors:
    """The Debian archive and its security archive among apt's sources: the first of each kind, empty if none."""
    archive = security = ""
    for source in sources:
        match = DEBIAN_SUITE.match(source.suite)
        if match is None or "main" not in source.components or not source.uri.startswith(("http://", "https://")):
            continue
        if match["security"]:
            security = security or source.uri
        else:
            archive = archive or source.uri
    return Mirrors(archive, security)


def read_sources(folder: Path) -> list[Source]:
    """All sources of apt's configuration in the order in which apt reads them: sources.list, then parts by name."""
    sources: list[Source] = []
    main = folder / "sources.list"
    parts = sorted((folder / "sources.list.d").glob("*")) if (folder / "sources.list.d").is_dir() else []
    for path in (main, *parts):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".list":
            sources.extend(parse_list(text))
        elif path.suffix == ".sources":
            sources.extend(parse_deb822(text))
    return sources


def parse_list(text: str) -> Iterator[Source]:
    """One-line style of sources.list(5): `deb [options] uri suite component…`."""
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", " ", line.partition("#")[0]).split()
        if len(words) >= 3 and words[0] == "deb":
            yield Source(words[1].rstrip("/"), words[2], tuple(words[3:]))


def parse_deb822(text: str) -> Iterator[Source]:
    """Deb822 style of sources.list(5): stanzas of `Field: value`, continued by indented lines."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
                continue
            head, colon, value = line.partition(":")
            if colon:
                name = head.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri.rstrip("/"), suite, tuple(fields.get("components", "").split()))


def apt_proxy() -> str:
    """apt's HTTP proxy on this host, from its configuration or, as apt does, from the environment; or nothing."""
    done = run(["apt-config", "shell", "proxy", "Acquire::http::Proxy"], timeout_s=30, check=False)
    match = re.search(r"^proxy='([^']*)'", done.stdout, re.MULTILINE)
    found = match[1] if match else os.environ.get("http_proxy", "")
    return "" if found == "DIRECT" else found
