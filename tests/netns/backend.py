"""A testinfra backend that looks into namespaced nodes: host names are `netns://PID`."""

from __future__ import annotations

from typing import Any

import testinfra.backend
from testinfra.backend.base import BaseBackend, CommandResult

from tests.netns.namespaces import NODE_PATH


class NetnsBackend(BaseBackend):
    """Runs what testinfra asks for inside the namespaces of a process."""

    NAME = "netns"

    def __init__(self, pid: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(pid, *args, **kwargs)
        self.pid = pid

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        spaces = "nsenter --target=%s --mount --uts --ipc --net --pid --wdns=/"
        asked = self.get_command(command, *args)
        return self.run_local(f"{spaces} env -i PATH=%s LC_ALL=C sh -c %s", self.pid, NODE_PATH, asked)


testinfra.backend.BACKENDS["netns"] = "tests.netns.backend.NetnsBackend"
