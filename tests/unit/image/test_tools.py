"""A tools tree: what mmdebstrap is told, and when it is made."""

from __future__ import annotations

from pathlib import Path

from builder.image.cache import Cache
from builder.image.mirror import Mirrors
from builder.image.tools import command, tools_archive


def test_the_tree_comes_from_the_mirrors_given_and_is_not_configured() -> None:
    argv = command(("a", "b"), Mirrors("http://m/debian", "http://m/security"), Path("/t.tar"))
    assert {"--variant=extract", "--include=a,b"} <= set(argv)
    assert argv[argv.index("trixie") + 1] == "/t.tar"
    archive, security = argv[-2:]
    assert archive.endswith("http://m/debian trixie main")
    assert security.endswith("http://m/security trixie-security main")
    assert all("signed-by=" in source for source in (archive, security))


def test_without_a_security_archive_there_is_one_source() -> None:
    argv = command(("a",), Mirrors("http://m/debian"), Path("/t.tar"))
    assert [word for word in argv if word.startswith("deb ")] == argv[-1:]


def test_a_tree_that_is_kept_is_not_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    keys: list[str] = []

    def obtain(kind: str, key: str, make: object, waited: object) -> Path:
        keys.append(f"{kind}-{key}")
        return tmp_path

    cache.obtain = obtain  # type: ignore[method-assign]
    for packages in (("a", "b"), ("b", "a"), ("a",)):
        assert tools_archive(cache, packages, Mirrors("http://m"), lambda: None) == tmp_path / "tools.tar"
    assert keys[0] == keys[1] != keys[2]
