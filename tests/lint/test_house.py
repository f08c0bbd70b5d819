"""The rules of the house that a program can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
SOURCES = [path for path in TRACKED if path.suffix == ".py"]
NODE_LIBRARIES = {"pydantic", "cryptography", "zeroconf", "libvirt", "yaml"}


def imports(path: Path) -> set[str]:
    """Top-level names that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def in_room(path: Path, room: str) -> bool:
    return path.is_relative_to(ROOT / room)


def test_ruff() -> None:
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_format() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "."], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_strict() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_node_code_imports_only_itself_and_what_debian_has() -> None:
    allowed = set(sys.stdlib_module_names) | NODE_LIBRARIES | {"firstboot"}
    strays = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        if in_room(path, "firstboot")
        for name in imports(path) - allowed
    }
    assert not strays


def test_only_discovery_speaks_mdns_on_the_node() -> None:
    users = {
        str(path.relative_to(ROOT)) for path in SOURCES if in_room(path, "firstboot") and "zeroconf" in imports(path)
    }
    assert users <= {"firstboot/cluster/mdns.py"}


def test_commands_go_through_the_gate() -> None:
    allowed = {"firstboot/run.py"}
    users = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if (in_room(path, "firstboot") or in_room(path, "builder")) and "subprocess" in imports(path)
    }
    assert users <= allowed


def test_rooms_are_named_for_what_they_own() -> None:
    nameless = re.compile(r"(^|/)(utils?|helpers?|common|misc|managers?)(\.py|/|$)")
    assert not [str(path) for path in TRACKED if nameless.search(str(path.relative_to(ROOT)))]


@pytest.mark.parametrize("room", ["builder", "firstboot", "tests", "bench"])
def test_files_are_one_subject(room: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if in_room(path, room) and (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long


def test_modules_say_what_they_own() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_the_tree_names_no_package_hosts() -> None:
    hosts = re.compile(r"(deb|security|snapshot)[.]debia[n][.]org|pyp[i][.]org|pythonhoste[d]|npmj[s][.]")
    named = []
    for path in TRACKED:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        named += [f"{path.relative_to(ROOT)}: {line.strip()}" for line in text.splitlines() if hosts.search(line)]
    assert not named
