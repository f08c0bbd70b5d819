"""The real command line, run as a person would."""

from __future__ import annotations

import sys
from pathlib import Path

from firstboot.run import Completed, run

ROOT = Path(__file__).parents[2]
TRIVET = Path(sys.executable).with_name("trivet")
PROFILE = ROOT / "profiles" / "lab.yaml"


def trivet(*words: str | Path, timeout_s: float = 900.0, check: bool = True) -> Completed:
    """Run `trivet` with these words in the project's folder."""
    return run([TRIVET, *words], timeout_s=timeout_s, check=check, cwd=ROOT)
