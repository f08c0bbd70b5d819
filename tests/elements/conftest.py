"""The built image of profiles/lab.yaml, read without mounting it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.image.build import BuildResult, build_image
from builder.image.progress import Progress
from builder.profile.compile import compile_plan
from builder.profile.load import load_profile

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "profiles" / "lab.yaml"


def need(program: str, package: str) -> str:
    """The path of a program; without it the test fails, naming the Debian package."""
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if path is None:
        pytest.fail(f"{program} is missing: apt-get install {package}")
    return path


@dataclass(frozen=True)
class Image:
    """A raw image and its root file system, read by debugfs at the partition's offset."""

    result: BuildResult
    raw: Path
    root_fs: Path
    """The root partition's content, as a file of its own."""

    def debugfs(self, request: str) -> str:
        done = subprocess.run(
            [need("debugfs", "e2fsprogs"), "-R", request, str(self.root_fs)],
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
        )
        return done.stdout

    def text(self, path: str) -> str:
        return self.debugfs(f"cat {path}")

    def exists(self, path: str) -> bool:
        return "Inode:" in self.debugfs(f"stat {path}")

    def link(self, path: str) -> str | None:
        """Where a symbolic link points; none for anything else."""
        stat = self.debugfs(f"stat {path}")
        if "Type: symlink" not in stat:
            return None
        if "Fast link dest:" in stat:
            return stat.split('Fast link dest: "')[1].split('"')[0]
        return self.text(path)

    def names(self, folder: str) -> list[str]:
        """What is in a folder."""
        rows = self.debugfs(f"ls -p {folder}").splitlines()
        return [row.split("/")[5] for row in rows if row.startswith("/") and row.split("/")[5] not in (".", "..")]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Built once; from the cache when nothing has changed."""
    if os.geteuid() != 0:
        pytest.fail("building an image needs root: sudo make test-elements")
    plan = compile_plan(load_profile(PROFILE))
    result = build_image(plan, ROOT / "build" / plan.name, progress=Progress(quiet=True))
    raw = result.path("raw")
    assert raw is not None, "profiles/lab.yaml asks for no raw image"
    root = next(part for part in result.manifest.partitions if part.name == "trivet-root-a")
    root_fs = tmp_path_factory.mktemp("image") / "root.ext4"
    subprocess.run(
        [
            "dd", f"if={raw}", f"of={root_fs}", "bs=1M", "conv=sparse", "status=none",
            f"skip={root.start_bytes >> 20}", f"count={root.size_bytes >> 20}",
        ],
        check=True,
    )  # fmt: skip
    yield Image(result, raw, root_fs)
    root_fs.unlink()
