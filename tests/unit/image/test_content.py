"""Keys of layers change with every input, and with nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.image.content import key, tree_digest


def fill(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("one")
    (folder / "sub" / "b").write_text("two")
    (folder / "link").symlink_to("a")
    return folder


def test_same_content_same_digest(tmp_path: Path) -> None:
    one, two = fill(tmp_path / "one"), fill(tmp_path / "two")
    os.utime(two / "a", (1, 1))
    (two / "__pycache__").mkdir()
    (two / "__pycache__" / "a.pyc").write_text("compiled")
    assert tree_digest(one) == tree_digest(two)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a").write_text("One"),
        lambda folder: (folder / "a").chmod(0o755),
        lambda folder: (folder / "a").rename(folder / "c"),
        lambda folder: (folder / "sub" / "new").write_text(""),
        lambda folder: (folder / "sub" / "b").unlink(),
        lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("sub")),
        lambda folder: ((folder / "link").unlink(), (folder / "link").write_text("a")),
    ],
)
def test_every_change_is_seen(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = fill(tmp_path / "tree")
    before = tree_digest(folder)
    change(folder)
    assert tree_digest(folder) != before


def test_keys() -> None:
    assert key(a=1, b=["x"]) == key(b=["x"], a=1)
    assert len({key(a=1), key(a=2), key(b=1), key(a="1"), key(a=[1])}) == 5
