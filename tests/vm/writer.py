"""Runs on a node: writes blocks whose content follows from their number, says which are durable; or checks them."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

BLOCK_BYTES = 65536
BLOCKS = 256
"""In the file; block n stands where n - 256 stood."""


def content(number: int) -> bytes:
    return random.Random(number).randbytes(BLOCK_BYTES)


def write(path: Path, first: int) -> None:
    """Write for ever, from that number on; a line `N` says that block N is durable."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    for number in range(first, sys.maxsize):
        os.pwrite(file, content(number), number % BLOCKS * BLOCK_BYTES)
        os.fsync(file)
        print(number, flush=True)


def check(path: Path, last: int) -> None:
    """Print the numbers of the blocks that are not as they were written, block `last` being the last durable one.

    The block after that may be half there.
    """
    file = os.open(path, os.O_RDONLY)
    for number in range(max(0, last - BLOCKS + 2), last + 1):
        if os.pread(file, BLOCK_BYTES, number % BLOCKS * BLOCK_BYTES) != content(number):
            print(number)
    print("checked")


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
