"""What a rebuild costs: nothing changed, and one agent file changed, beside stock disk-image-create.

The peer makes a tar of debian-minimal with the same packages, in the same run, from the same archive. Prints one JSON
object as its last line; CPU seconds are of all processes that the build started, `ratio` is ours after the agent
changed over the peer's.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from builder.image.mirror import host_mirrors
from firstboot.run import follow

ROOT = Path(__file__).parent.parent
PROFILE = ROOT / "profiles" / "lab.yaml"
LIMIT_S = 3600


def measured(argv: list[str], *, cwd: Path, env: dict[str, str], log_file: Path) -> dict[str, float]:
    """Wall and CPU seconds of a command and all it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    follow(argv, timeout_s=LIMIT_S, log_file=log_file, cwd=cwd, env=env)
    wall_s = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall_s, 1), "cpu_s": round(cpu_s, 1)}


def ours(scratch: Path, log_file: Path) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Our three builds in a copy of the tree with a cache of its own, and the names of the packages."""
    tree = scratch / "tree"
    for room in ("builder", "firstboot", "elements", "profiles"):
        shutil.copytree(ROOT / room, tree / room)
    out = scratch / "out"
    argv = [sys.executable, "-m", "builder", "build", str(tree / "profiles" / PROFILE.name), "-o", str(out)]
    env = {"TRIVET_CACHE": str(scratch / "cache")}
    figures = {}
    for name in ("cold", "unchanged", "agent"):
        if name == "agent":
            with (tree / "firstboot" / "__init__.py").open("a") as file:
                file.write("\n# touched\n")
        print(f"ours, {name} …", flush=True)
        figures[name] = measured(argv, cwd=tree, env=env, log_file=log_file)
        print(f"  {figures[name]}", flush=True)
    packages = [line.split()[0] for line in (out / "packages.txt").read_text().splitlines()]
    return figures, packages


def stock(scratch: Path, packages: list[str], log_file: Path) -> dict[str, float]:
    """Stock disk-image-create: debian-minimal and the same packages, as a tar."""
    mirrors = host_mirrors()
    env = {
        "DIB_RELEASE": "trixie",
        "DIB_DISTRIBUTION_MIRROR": mirrors.archive,
        "DIB_DEBIAN_SECURITY_MIRROR": mirrors.security,
        "TMP_DIR": str(scratch),
        "DIB_NO_TMPFS": "1",
        "XDG_CACHE_HOME": str(scratch / "stock-cache"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    argv = ["disk-image-create", "-n", "-t", "tar", "-o", str(scratch / "stock"), "-p", ",".join(packages)]
    print("stock disk-image-create …", flush=True)
    figures = measured([*argv, "debian-minimal"], cwd=scratch, env=env, log_file=log_file)
    print(f"  {figures}", flush=True)
    return figures


def main() -> None:
    """Measure and print."""
    place = Path(os.environ.get("TMPDIR", "/var/tmp"))
    with tempfile.TemporaryDirectory(dir=place, prefix="trivet-bench-") as folder:
        scratch = Path(folder)
        figures, packages = ours(scratch, scratch / "ours.log")
        peer = stock(scratch, packages, scratch / "stock.log")
    ratio = round(figures["agent"]["cpu_s"] / peer["cpu_s"], 3)
    print(json.dumps({"bench": "rebuild", "ours": figures, "peer": {"stock": peer}, "ratio": ratio}))


if __name__ == "__main__":
    main()
