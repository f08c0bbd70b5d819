"""Writes to a file all the time, and reads back each block that it wrote: whatever happens to the nodes meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.netns.agents import Agent, wait_until
from tests.netns.namespaces import Node, die_with_parent

END, DONE, TROUBLE = "/srv/end-writer", "/srv/written", "/srv/writer.log"
BLOCKS = 64
PROGRAM = f"""
import hashlib, os, pathlib, sys, time
path, count = pathlib.Path(sys.argv[1]), 0
path.touch()

def content(count):
    return hashlib.sha256(b"%d" % count).digest() * 128

def look(count):
    with open(path, "rb") as file:
        file.seek(4096 * (count % {BLOCKS}))
        return file.read(4096)

def told(count, found):
    older = [number for number in range(count % {BLOCKS}, count, {BLOCKS}) if content(number) == found]
    return f"as block {{older[0]}}" if older else "as zeros" if not any(found) else f"as {{len(found)}} other bytes"

while not os.path.exists("{END}"):
    block = content(count)
    with open(path, "r+b") as file:
        file.seek(4096 * (count % {BLOCKS}))
        file.write(block)
        file.flush()
        os.fsync(file.fileno())
    found = look(count)
    if found != block:
        at = time.strftime("%H:%M:%S")
        time.sleep(2)
        sys.exit(f"{{at}}: block {{count}} was read {{told(count, found)}}, and later {{look(count) == block}}")
    count += 1
    pathlib.Path("{DONE}").write_text(str(count))
"""
MORE = 20


class Writer:
    """A process on a node."""

    def __init__(self, node: Node, path: Path) -> None:
        self._node = node
        argv = node.argv("sh", "-c", f'exec "$0" -c "$1" "$2" 2> {TROUBLE}', sys.executable, PROGRAM, path)
        self._process = subprocess.Popen(argv, start_new_session=True, preexec_fn=die_with_parent)

    @property
    def count(self) -> int:
        """How many blocks were written, and read back as they should be."""
        self._require_no_error()
        return int(self._node.read(DONE) or 0)

    def get_on(self, agents: list[Agent]) -> None:
        """Wait until it has written some more blocks."""
        before = self.count
        wait_until("the writer gets on", agents, lambda: self.count >= before + MORE)

    def end(self) -> None:
        """Have it end, and make sure that every block was right."""
        self._node.run("touch", END)
        code = self._process.wait(timeout=120)
        assert code == 0, self._node.read(TROUBLE)

    def _require_no_error(self) -> None:
        assert self._process.poll() in (None, 0), self._node.read(TROUBLE)
