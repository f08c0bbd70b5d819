"""The elements themselves: dib-lint, a README each, and shell that parses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.elements.conftest import ROOT, need

ELEMENTS = sorted(path for path in (ROOT / "elements").iterdir() if path.is_dir())
SCRIPTS = sorted(
    path
    for path in (ROOT / "elements").rglob("*")
    if path.is_file() and path.read_bytes()[:2] == b"#!" and b"python" not in path.read_bytes().split(b"\n")[0]
)


def test_dib_lint() -> None:
    need("git", "git")
    need("file", "file")
    tools = Path(sys.executable).parent
    done = subprocess.run(
        [str(tools / "dib-lint")],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "ELEMENTS_DIR": "elements",
            "LIB_DIR": "elements",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("PASS")


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda path: path.name)
def test_readme(element: Path) -> None:
    lines = (element / "README.rst").read_text().splitlines()
    assert lines[:3] == ["=" * len(element.name), element.name, "=" * len(element.name)]
    assert len(" ".join(lines[3:])) > 40


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT / "elements")))
def test_shell_parses(script: Path) -> None:
    shell = script.read_text().splitlines()[0].removeprefix("#!").split()[0]
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
