"""The output folder: whole files under their names, nothing done twice, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.image import build, publish
from builder.image.build import BuildResult, build_image
from builder.image.layers import PACKAGES, STAMP, Workshop
from builder.image.mirror import Mirrors
from builder.image.progress import Progress
from builder.image.recipe import Recipe
from firstboot.errors import BadInputError
from firstboot.plan import Plan
from tests.unit.image.test_recipe import plan


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Layers come from here instead of from a build; the list says which were asked for."""
    asked: list[str] = []

    def layer(recipe: Recipe, shop: Workshop) -> Path:
        asked.append(recipe.image_key)
        folder = tmp_path / f"layer-{len(asked)}"
        folder.mkdir()
        for name in recipe.image.formats:
            with (folder / f"disk.{name}").open("wb") as file:
                file.truncate(8 << 20)
                file.seek(4 << 20)
                file.write(b"content")
        (folder / PACKAGES).write_text("a 1 amd64\nb 2 all\n")
        (folder / STAMP).write_text(json.dumps({"version": "1", "epoch": 7, "key": "k"}))
        return folder

    monkeypatch.setattr(build, "image_layer", layer)
    monkeypatch.setattr(build, "check_host", lambda: None)
    monkeypatch.setattr(build, "host_mirrors", lambda *asked: Mirrors("http://m.example/debian"))
    return asked


def run(tmp_path: Path, what: Plan | None = None, folder: str = "out") -> BuildResult:
    return build_image(
        what or plan(), tmp_path / folder, cache_folder=tmp_path / "cache", progress=Progress(quiet=True)
    )


def test_what_is_published(tmp_path: Path, made: list[str]) -> None:
    result = run(tmp_path)
    assert result.changed
    assert {path.name for path in result.folder.iterdir()} == {
        "trivet-test.raw",
        "trivet-test.qcow2",
        "packages.txt",
        "build.json",
    }
    raw = result.path("raw")
    assert raw is not None
    assert raw.stat().st_size == 8 << 20
    assert raw.stat().st_blocks * 512 < 1 << 20
    assert raw.read_bytes()[4 << 20 :].startswith(b"content")
    assert result.manifest.packages == 2
    assert result.manifest.epoch == 7


def test_again_nothing_is_done(tmp_path: Path, made: list[str]) -> None:
    run(tmp_path)
    result = run(tmp_path)
    assert not result.changed
    assert len(made) == 1


@pytest.mark.parametrize("name", ["trivet-test.raw", "packages.txt", "build.json"])
def test_what_is_missing_is_published_again(tmp_path: Path, made: list[str], name: str) -> None:
    first = run(tmp_path)
    (first.folder / name).unlink()
    assert run(tmp_path).changed
    assert (first.folder / name).exists()


def test_an_image_that_somebody_wrote_to_is_replaced(tmp_path: Path, made: list[str]) -> None:
    raw = run(tmp_path).path("raw")
    assert raw is not None
    with raw.open("r+b") as file:
        file.write(b"booted")
    assert run(tmp_path).changed
    assert raw.read_bytes()[:6] == b"\0" * 6


def test_formats_are_those_of_the_plan(tmp_path: Path, made: list[str]) -> None:
    run(tmp_path)
    result = run(tmp_path, plan(formats=("qcow2",)))
    assert result.path("raw") is None
    assert not (result.folder / "trivet-test.raw").exists()


def test_a_copy_that_ends_early_leaves_nothing(
    tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(handle: int, size_bytes: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, "data_ranges", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_output_that_is_a_file(tmp_path: Path, made: list[str]) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(BadInputError, match="is not a folder"):
        run(tmp_path)
